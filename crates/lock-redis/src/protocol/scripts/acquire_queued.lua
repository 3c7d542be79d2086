local place = ARGV[4] or '-1'
local stands = place ~= '-1' and place ~= '-2'
is_counted = place == 'new'

if owner and is_of(owner, token) then
  -- This token's request came before: the same grant under a new number, and never shorter.
  local number = next_number()
  local ttl = ARGV[2] + 0
  local left = call('PTTL', KEYS[1])
  if left < ttl then
    call('PEXPIRE', KEYS[1], ttl)
    left = ttl
  end
  if ARGV[5] then
    call('ZREM', KEYS[3], ARGV[5])
  end
  return {1, number + 0, left, now}
end

local ticket, counter
if stands then
  ticket = place
  if ticket == 'new' or ticket == '0' then
    ticket = next_number()
    -- Above the numbers of all grants so far, as the counter in the answer has to be.
    counter = ticket
  end
  if call('ZADD', KEYS[3], 'NX', ticket, ARGV[5]) == 0 then
    ticket = call('ZSCORE', KEYS[3], ARGV[5])
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
    came_to = advance(token, ARGV[2], turn)
    if came_to ~= 'more' then
      begin_use(turn)
    end
  end
  if came_to == 'given' then
    owner = call('GET', KEYS[1])
  elseif came_to == 'mine' then
    return {1, next_number() + 0, ARGV[2] + 0, now}
  end
  -- A gap is for those who stand in no queue.
  if not stands and (gap > 0 or came_to == 'nobody') then
    local number = next_number()
    -- The queue or the mark is there, or was.
    call('SET', KEYS[1], 'dl*' .. token, 'PX', ARGV[2])
    if ARGV[5] then
      call('ZREM', KEYS[3], ARGV[5])
    end
    return {1, number + 0, ARGV[2] + 0, now}
  end
end

local is_foreign = owner and not is_ours(owner)
if is_foreign or place == '-2' then
  local _, _, _, _, _, note_pollers = gaps()
  note_pollers(is_foreign)
end
if owner and (stands or place == '-2') then
  -- From now on its release has more to do than to delete it.
  local mark = sub(owner, 1, 3)
  if mark == 'dl:' or mark == 'dl+' then
    local is_polled = call('EXISTS', KEYS[4]) == 1
    if mark == 'dl:' or is_polled then
      local marked = (is_polled and 'dl*' or 'dl+') .. sub(owner, 4)
      call('SET', KEYS[1], marked, 'KEEPTTL')
    end
  end
end
-- A write even where it has no effect: a read-only replica must not answer as if it knew.
call('PEXPIRE', KEYS[3], '60000')
local left = gap > 0 and gap or call('PTTL', KEYS[1])
if not stands then
  return {0, left, now}
end
if is_foreign then
  -- Only the first asks often: it must be one that lives.
  hint(ASK_EVERY, token)
end
counter = counter or next_number()
local rank = call('ZRANK', KEYS[3], ARGV[5])
return {is_foreign and 3 or 2, ticket + 0, rank, left, counter + 0, now}
