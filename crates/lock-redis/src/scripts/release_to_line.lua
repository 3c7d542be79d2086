local was_first = false
if ARGV[3] then
  local member = '1 ' .. ARGV[1] .. ' ' .. ARGV[3] .. ' ' .. ARGV[4]
  was_first = redis.call('ZRANK', KEYS[3], member) == 0
  redis.call('ZREM', KEYS[3], member)
end
local left = redis.call('PTTL', KEYS[1])
if left == -2 then
  return advance(nil, nil) == 'more' and {reply} or reply
end
-- Whoever is the first now does not know how long it is held: until the rest is over, or because
-- somebody else was the first before.
if left >= 0 and (was_first or reply == 1) then
  hint(0, left, nil)
end
return reply
