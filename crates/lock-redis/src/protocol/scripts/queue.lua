
-- What acquire and release share: the counter, and how a free lock goes to the first in the queue.
-- An owner, which is the value of the lock's key, is a token behind `dl:` if its release has only to
-- delete it, `dl+` if somebody waits, and `dl*` if the mark was there.
-- An entry of the queue is `1 <token> <channel> <window in ms>`; entries of other versions are
-- skipped and left alone.

-- Whether the counter is known to have lost no number since the connection was made; set below.
local is_counted

-- Whether the value of the lock's key says that the token has it.
local function is_of(owner, token)
  if sub(owner, 4) ~= token then
    return false
  end
  local mark = sub(owner, 1, 3)
  return mark == 'dl:' or mark == 'dl+' or mark == 'dl*'
end

-- The next number of the slot's counter, as text: that is made once, and keeps all digits.
-- A counter that may have lost numbers is lifted to the time, as is one that is new.
local function next_number()
  local drawn = is_counted and draw()
  if drawn then
    return string.format('%d', drawn)
  end
  local number = string.format('%d', now)
  local last = call('SET', KEYS[2], number, 'GET')
  last = last and tonumber(last)
  if last and last >= now then
    number = string.format('%d', last + 1)
    call('SET', KEYS[2], number)
  end
  return number
end

-- The first two entries that can be read, in their parts.
local function first_two()
  local one
  local place = 0
  -- Numbers are text wherever most come by: the server takes long to make it of them.
  local entries = call('ZRANGE', KEYS[3], '0', '1')
  while true do
    for _, text in ipairs(entries) do
      local token, channel, window = string.match(text, '^1 ([^ ]+) ([^ ]+) ([1-9]%d*)$')
      if token and #token == 32 and #window <= 5 then
        local entry = {text = text, token = token, channel = channel, window = window}
        if one then
          return one, entry
        end
        one = entry
      end
    end
    if #entries < 2 then
      return one
    end
    place = place + 2
    entries = call('ZRANGE', KEYS[3], place, place + 1)
  end
end

-- Whether the channels of the one and the other entry, if there is another, have subscribers.
-- The count that PUBLISH returns does not tell.
local function are_live(one, two)
  local channel = one.channel
  if not two or two.channel == channel then
    local is_live = call('PUBSUB', 'NUMSUB', channel)[2] > 0
    return is_live, is_live
  end
  local counts = call('PUBSUB', 'NUMSUB', channel, two.channel)
  return counts[2] > 0, counts[4] > 0
end

-- Tells the first in the queue how long the lock is held for, so that somebody watches the holder.
local function hint(left, me)
  for _ = 1, 64 do
    local first = first_two()
    if not first or first.token == me then
      return
    end
    if are_live(first) then
      redis.pcall('PUBLISH', first.channel, string.format('h %s %.0f', first.token, left))
      return
    end
    call('ZREM', KEYS[3], first.text)
  end
end

-- Tells the first two in the queue when to ask: the second for the case that the first does not.
local function hint_two(left)
  hint(left, nil)
  local _, second = first_two()
  if second and are_live(second) then
    redis.pcall('PUBLISH', second.channel, string.format('h %s %.0f', second.token, left + 100))
  end
end

-- What stands before the token of whoever gets the lock.
local function mark_of(turn, next)
  return turn and 'dl*' or next and 'dl+' or 'dl:'
end

-- Gives the lock, which nobody holds any more, to the first in the queue that is alive.
-- `turn` is what the mark says, if there is one.
-- Returns 'mine' if that is `me`, 'given', 'nobody' if none is alive, or 'more' if so many were
-- dead that the server should serve others before the rest is looked at.
local function advance(me, ttl, turn)
  for _ = 1, 64 do
    local first, next = first_two()
    if not first then
      return 'nobody'
    end
    if first.token == me then
      call('ZREM', KEYS[3], first.text)
      call('SET', KEYS[1], mark_of(turn, next) .. first.token, 'PX', ttl)
      hint(ttl, me)
      return 'mine'
    end
    local first_lives, next_lives = are_live(first, next)
    if first_lives then
      -- The number comes first, because its key may be of another type; then nothing can fail.
      local number = next_number()
      call('ZREM', KEYS[3], first.text)
      call('SET', KEYS[1], mark_of(turn, next) .. first.token, 'PX', first.window)
      local grant = 'g ' .. first.token .. ' ' .. number .. ' ' .. first.window
      if not next or next.token == me then
        redis.pcall('PUBLISH', first.channel, grant)
      elseif next.channel == first.channel then
        -- One message tells both: the process that is subscribed knows who is next.
        redis.pcall('PUBLISH', first.channel, grant .. ' ' .. next.token)
      else
        redis.pcall('PUBLISH', first.channel, grant)
        if next_lives then
          redis.pcall('PUBLISH', next.channel, 'h ' .. next.token .. ' ' .. first.window)
        else
          hint(first.window, me)
        end
      end
      return 'given'
    end
    -- It comes back with its ticket, if it does.
    call('ZREM', KEYS[3], first.text)
  end
  return 'more'
end
