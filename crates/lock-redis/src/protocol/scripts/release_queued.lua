local was_first = false
if ARGV[3] then
  local member = '1 ' .. string.sub(ARGV[1], 4) .. ' ' .. ARGV[3] .. ' ' .. ARGV[4]
  was_first = redis.call('ZRANK', KEYS[3], member) == 0
  redis.call('ZREM', KEYS[3], member)
end
if is_free then
  local came_to = advance(nil, nil)
  if owner and came_to ~= 'given' then
    redis.call('DEL', KEYS[1])
  end
  return came_to == 'more' and {reply} or reply
end
-- Whoever is the first now does not know how long it is held: until the rest is over, or because
-- somebody else was the first before.
if was_first or reply == 1 then
  local left = redis.call('PTTL', KEYS[1])
  if left >= 0 then
    hint(left, nil)
  end
end
return reply
