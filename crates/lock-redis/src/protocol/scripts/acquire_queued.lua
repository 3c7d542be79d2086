local token = string.sub(ARGV[1], 4)
local place = ARGV[6] or '-1'
local stands = place ~= '-1' and place ~= '-2'
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
  ticket = place
  if ticket == '0' then
    ticket = next_number()
    -- Above the numbers of all grants so far, as the counter in the answer has to be.
    counter = ticket
  end
  if redis.call('ZADD', KEYS[3], 'NX', ticket, member) == 0 then
    ticket = redis.call('ZSCORE', KEYS[3], member)
  end
end
local gap = 0
local came_to
if not owner then
  local read_turn, gap_left, begin_use, begin_gap = gaps()
  local turn = read_turn()
  gap = gap_left(turn)
  if gap == 0 and stands and turn and turn.ended == 0 then
    -- A lease is over that nobody gave back: that ends a turn as well.
    gap = begin_gap(turn, 0)
  end
  if gap == 0 then
    came_to = advance(token, ARGV[2])
    if came_to ~= 'more' then
      begin_use(turn)
    end
  end
  if came_to == 'mine' then
    return {1, next_number() + 0, ARGV[2] + 0, now}
  end
  -- A gap is for those who stand in no queue.
  if not stands and (gap > 0 or came_to == 'nobody') then
    local number = next_number()
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    if member then
      redis.call('ZREM', KEYS[3], member)
    end
    return {1, number + 0, ARGV[2] + 0, now}
  end
end

local is_foreign = owner and not is_ours(owner)
if is_foreign or place == '-2' then
  local _, _, _, _, _, note_pollers = gaps()
  note_pollers(is_foreign)
end
-- A write even where it has no effect: a read-only replica must not answer as if it knew.
redis.call('PEXPIRE', KEYS[3], '60000')
local left = gap > 0 and gap or redis.call('PTTL', KEYS[1])
if not stands then
  return {0, left, now}
end
if is_foreign then
  -- Only the first asks often: it must be one that lives.
  hint(ASK_EVERY, token)
end
if not counter then
  counter = tonumber(redis.call('GET', KEYS[2]) or 0)
  if not counter or counter < now then
    counter = now
  end
end
local rank = redis.call('ZRANK', KEYS[3], member)
return {is_foreign and 3 or 2, ticket + 0, rank, left, counter + 0, now}
