
-- Whether an owner hands the lock over when it releases it.
local function is_ours(owner)
  local mark = sub(owner, 1, 3)
  if mark == 'min' then
    mark = sub(owner, 5, 7)
  end
  return mark == 'dl:' or mark == 'dl+' or mark == 'dl*'
end

-- The first in the queue asks so often, in ms, while the holder will tell nobody of its release.
local ASK_EVERY = 100

-- Pollers take the lock by asking again and again, and get it only while its key is absent. Where some
-- are about the mark exists, and the queue leaves the lock free for GAP when it has used it for TURN:
-- so it uses a part of the time at most, and time in which it does not want the lock counts, too.
-- The mark is `<beginning of the turn> <end of the last use, or of the gap behind it>`, in µs; the
-- second is 0 while the queue uses the lock.
-- All of it is rarely needed, so it is made when it is.
local function gaps()
  local TURN = 45000
  local GAP = 110000
  -- The mark goes when no poller was seen for so long, in ms.
  local MARKED_FOR = '60000'

  local function text_of(turn)
    return string.format('%.0f %.0f', turn.began, turn.ended)
  end

  -- What the mark says; nil if there is none.
  local function read_turn()
    local text = call('GET', KEYS[4])
    local began, ended = string.match(text or '', '^(%d+) (%d+)$')
    if not began then
      return nil
    end
    local turn = {began = began + 0, ended = ended + 0}
    if turn.began > now + 1000000 or turn.ended > now + 1000000 then
      -- The clock was set back: no gap may last for long.
      turn = {began = now, ended = now}
    end
    return turn
  end

  -- How much of a gap is left, in ms; 0 if there is none.
  local function gap_left(turn)
    if turn and turn.ended > now then
      return math.ceil((turn.ended - now) / 1000)
    end
    return 0
  end

  -- The lock was free, and goes to somebody who does not poll.
  local function begin_use(turn)
    if turn and turn.ended > 0 then
      local idle = now - turn.ended
      turn.began = math.min(now, turn.began + idle + idle * TURN / GAP)
      turn.ended = 0
      call('SET', KEYS[4], text_of(turn), 'KEEPTTL')
    end
  end

  -- The lock is given back. Returns how long a gap begins, in ms; 0 if none does.
  local function begin_gap(turn, look_out)
    if turn then
      if now - turn.began < TURN then
        return 0
      end
      turn.ended = now + GAP
      turn.began = turn.ended
      call('SET', KEYS[4], text_of(turn), 'KEEPTTL')
      return GAP / 1000
    end
    if look_out > 0 then
      -- Nobody knows of pollers: a short gap, which lets them be noticed. The mark stays until the first
      -- in the queue has asked: whoever is ready to wait gives back what it takes while it is there.
      local ended = now + look_out * 1000
      call('SET', KEYS[4], text_of({began = ended, ended = ended}), 'PX', look_out + 20)
    end
    return look_out
  end

  -- The lock is given back, no gap begins, and nobody in the queue gets it.
  local function end_use(turn)
    if turn and turn.ended == 0 then
      turn.ended = now
      call('SET', KEYS[4], text_of(turn), 'KEEPTTL')
    end
  end

  -- There are pollers: one holds the lock, or one of ours could not have it.
  local function note_pollers(is_foreign)
    local turn = read_turn() or {began = now, ended = 0}
    if is_foreign and turn.ended == 0 then
      turn.ended = now
    end
    call('SET', KEYS[4], text_of(turn), 'PX', MARKED_FOR)
  end

  return read_turn, gap_left, begin_use, begin_gap, end_use, note_pollers
end
