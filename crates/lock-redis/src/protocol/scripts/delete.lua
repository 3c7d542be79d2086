-- KEYS: lock. ARGV: owner, which nobody has marked. Deletes the lock if it is that; replies whether.
-- Valkey 9 has a command for it.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
