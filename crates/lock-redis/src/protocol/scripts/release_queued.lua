local reply
local is_free = rest == '0'
if type(owner) == 'table' then
  if not string.find(owner.err, 'WRONGTYPE', 1, true) then
    return owner
  end
  is_free = false
  reply = -1
elseif not owner then
  is_free = true
  reply = 0
elseif is_of(owner, token) then
  if not is_free then
    call('SET', KEYS[1], 'min:' .. ARGV[1], 'PX', rest)
  end
  reply = 1
elseif owner == 'min:' .. ARGV[1] then
  -- It was released before and rests: a repetition does not extend that, an undo ends it.
  reply = 1
else
  is_free = false
  reply = -1
end
local beside = call('EXISTS', KEYS[3], KEYS[4])
if beside == 0 and look_out == '0' then
  if is_free and owner then
    call('DEL', KEYS[1])
  end
  return reply
end
local time = call('TIME')
now = time[1] * 1000000 + time[2]
is_counted = ARGV[2] == '1'

local was_first = false
if entry then
  was_first = call('ZRANK', KEYS[3], entry) == 0
  call('ZREM', KEYS[3], entry)
end

if is_free then
  look_out = look_out + 0
  local read_turn, gap_left, begin_use, begin_gap, end_use, turn
  -- As a rule there is a queue and no mark. Without a queue the mark is looked at below.
  if beside == 2 or look_out > 0 then
    read_turn, gap_left, begin_use, begin_gap, end_use = gaps()
    turn = read_turn()
    local gap = gap_left(turn)
    local begins = gap == 0 and (owner or turn and turn.ended == 0)
    if begins then
      gap = begin_gap(turn, owner and look_out or 0)
    end
    if gap > 0 then
      if owner then
        call('DEL', KEYS[1])
      end
      if begins then
        hint_two(gap)
      elseif owner or was_first then
        -- Whoever asked while a poller had the lock was told how long that one's lease is.
        hint(gap, nil)
      end
      return reply
    end
  end
  local came_to = advance(nil, nil, turn)
  if came_to == 'given' then
    if turn then
      begin_use(turn)
    end
    return reply
  end
  if owner then
    call('DEL', KEYS[1])
    if not read_turn then
      read_turn, gap_left, begin_use, begin_gap, end_use = gaps()
      turn = read_turn()
    end
    if gap_left(turn) == 0 and begin_gap(turn, 0) == 0 then
      end_use(turn)
    end
  end
  return came_to == 'more' and {reply} or reply
end

-- Whoever is the first now does not know how long it is held: until the rest is over, or because
-- somebody else was the first before.
if was_first or reply == 1 then
  local left = call('PTTL', KEYS[1])
  if type(owner) == 'string' and not is_ours(owner) then
    left = ASK_EVERY
  end
  if left >= 0 then
    hint(left, nil)
  end
end
if
  entry
  and reply == -1
  and type(owner) == 'string'
  and sub(owner, 1, 3) == 'dl+'
  and call('EXISTS', KEYS[3]) == 0
then
  -- Nobody waits any more: whoever is the next to do so has to know that it is the first.
  call('SET', KEYS[1], 'dl:' .. sub(owner, 4), 'KEEPTTL')
end
return reply
