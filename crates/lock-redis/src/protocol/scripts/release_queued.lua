local was_first = false
if ARGV[4] then
  local member = '1 ' .. string.sub(ARGV[1], 4) .. ' ' .. ARGV[4] .. ' ' .. ARGV[5]
  was_first = redis.call('ZRANK', KEYS[3], member) == 0
  redis.call('ZREM', KEYS[3], member)
end

if is_free then
  local look_out = ARGV[3] + 0
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
        redis.call('DEL', KEYS[1])
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
  local came_to = advance(nil, nil)
  if came_to == 'given' then
    if turn then
      begin_use(turn)
    end
    return reply
  end
  if owner then
    redis.call('DEL', KEYS[1])
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
  local left = redis.call('PTTL', KEYS[1])
  if type(owner) == 'string' and not is_ours(owner) then
    left = ASK_EVERY
  end
  if left >= 0 then
    hint(left, nil)
  end
end
return reply
