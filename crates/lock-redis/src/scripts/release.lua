-- KEYS: lock. ARGV: token, rest in ms for which the lock goes on standing.
-- Replies: 1 released, 0 nobody's, -1 somebody else's.
-- GETEX is a GET that counts as a write: a read-only replica refuses it instead of answering 0.
local owner = redis.pcall('GETEX', KEYS[1])
if owner == ARGV[1] then
  if ARGV[2] == '0' then
    redis.call('DEL', KEYS[1])
  else
    redis.call('SET', KEYS[1], 'min:' .. owner, 'PX', ARGV[2])
  end
  return 1
end
if not owner then
  return 0
end
if type(owner) == 'table' then
  return string.find(owner.err, 'WRONGTYPE', 1, true) and -1 or owner
end
if owner ~= 'min:' .. ARGV[1] then
  return -1
end
-- It was released before and rests: a repetition does not extend that, an undo ends it.
if ARGV[2] == '0' then
  redis.call('DEL', KEYS[1])
end
return 1
