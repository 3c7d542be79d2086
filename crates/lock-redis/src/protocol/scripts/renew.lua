-- KEYS: locks. ARGV: owner and ttl in ms of each: at least that, or exactly that if it has a minus;
-- then the last server time in µs at which a lease may be set to an exact ttl.
-- Replies: for each 1 renewed, 0 nobody's, -1 somebody else's, or the time in µs: too late.
-- GETEX is a GET that counts as a write: a read-only replica refuses it instead of answering 0.
local replies = {}
local now
for i = 1, #KEYS do
  local owner = redis.pcall('GETEX', KEYS[i])
  local mine = ARGV[2 * i - 1]
  if
    owner == mine
    -- Marked by those who wait.
    or type(owner) == 'string'
      and string.sub(owner, 4) == string.sub(mine, 4)
      and string.find(owner, '^dl[+*]')
  then
    local ttl = ARGV[2 * i] + 0
    replies[i] = 1
    if ttl < 0 then
      if not now then
        local time = redis.call('TIME')
        now = time[1] * 1000000 + time[2]
      end
      if now - ARGV[#ARGV] > 0 then
        replies[i] = now
      else
        redis.call('PEXPIRE', KEYS[i], -ttl)
      end
    elseif redis.call('PTTL', KEYS[i]) < ttl then
      redis.call('PEXPIRE', KEYS[i], ttl)
    end
  elseif not owner then
    replies[i] = 0
  elseif type(owner) == 'string' or string.find(owner.err, 'WRONGTYPE', 1, true) then
    replies[i] = -1
  else
    return owner
  end
end
return replies
