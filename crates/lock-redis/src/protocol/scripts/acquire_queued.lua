local token = string.sub(ARGV[1], 4)
local stands = ARGV[6] and ARGV[6] ~= '-1'
local member = ARGV[4] and '1 ' .. token .. ' ' .. ARGV[4] .. ' ' .. ARGV[5]
local owner = redis.call('GET', KEYS[1])

if owner == ARGV[1] then
  -- This token's request came before: the same grant under a new number, and never shorter.
  local number = next_number()
  local ttl = ARGV[2] + 0
  local left = redis.call('PTTL', KEYS[1])
  if left < ttl then
    redis.call('PEXPIRE', KEYS[1], ttl)
    left = ttl
  end
  if member then
    redis.call('ZREM', KEYS[3], member)
  end
  return {1, number + 0, left, now}
end

local ticket, counter
if stands then
  ticket = ARGV[6]
  if ticket == '0' then
    ticket = next_number()
    -- Above the numbers of all grants so far, as the counter in the answer has to be.
    counter = ticket
  end
  if redis.call('ZADD', KEYS[3], 'NX', ticket, member) == 0 then
    ticket = redis.call('ZSCORE', KEYS[3], member)
  end
end
if not owner then
  local came_to = advance(token, ARGV[2])
  if came_to == 'mine' then
    return {1, next_number() + 0, ARGV[2] + 0, now}
  end
  if came_to == 'nobody' and not stands then
    local number = next_number()
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return {1, number + 0, ARGV[2] + 0, now}
  end
end

-- A write even where it has no effect: a read-only replica must not answer as if it knew.
redis.call('PEXPIRE', KEYS[3], '60000')
local left = redis.call('PTTL', KEYS[1])
if not stands then
  return {0, left, now}
end
if not counter then
  counter = tonumber(redis.call('GET', KEYS[2]) or 0)
  if not counter or counter < now then
    counter = now
  end
end
return {2, ticket + 0, redis.call('ZRANK', KEYS[3], member), left, counter + 0, now}
