-- KEYS: locks. ARGV: owner and ttl in ms of each.
-- Replies: for each 1 renewed, 0 nobody's, -1 somebody else's.
-- GETEX is a GET that counts as a write: a read-only replica refuses it instead of answering 0.
local replies = {}
for i = 1, #KEYS do
  local owner = redis.pcall('GETEX', KEYS[i])
  if owner == ARGV[2 * i - 1] then
    local ttl = ARGV[2 * i] + 0
    if redis.call('PTTL', KEYS[i]) < ttl then
      redis.call('PEXPIRE', KEYS[i], ttl)
    end
    replies[i] = 1
  elseif not owner then
    replies[i] = 0
  elseif type(owner) == 'string' or string.find(owner.err, 'WRONGTYPE', 1, true) then
    replies[i] = -1
  else
    return owner
  end
end
return replies
