
-- What acquire and release share: the counter, and how a free lock goes to the first in line.
-- An entry of the line is `1 <token> <channel> <window in ms>`; entries of other versions are
-- passed over and left alone.

-- The next number of the slot's counter.
local function next_number()
  local last = tonumber(redis.call('SET', KEYS[2], now, 'GET') or 0)
  if not last or last < now then
    return now
  end
  redis.call('SET', KEYS[2], last + 1)
  return last + 1
end

-- The first entry that can be read at or behind this place: its place, text and parts.
local function entry_from(place)
  while true do
    local entry = redis.call('ZRANGE', KEYS[3], place, place)[1]
    if not entry then
      return place
    end
    local token, channel, window = string.match(entry, '^1 (%x+) (%S+) ([1-9]%d*)$')
    if token and #window <= 5 then
      return place, entry, token, channel, window
    end
    place = place + 1
  end
end

-- Whether somebody listens. The count that PUBLISH returns says nothing of that.
local function is_live(channel)
  return redis.call('PUBSUB', 'NUMSUB', channel)[2] > 0
end

-- Tells the first in line how long the lock is held for, so that somebody watches the holder.
local function hint(place, left, me)
  for _ = 1, 64 do
    local entry, token, channel
    place, entry, token, channel = entry_from(place)
    if not entry or token == me then
      return
    end
    if is_live(channel) then
      redis.pcall('PUBLISH', channel, string.format('h %s %.0f', token, left))
      return
    end
    redis.call('ZREM', KEYS[3], entry)
  end
end

-- Gives the lock, which nobody holds, to the first in line that is alive.
-- Returns 'mine' if that is `me`, 'given', 'nobody' if none is alive, or 'more' if so many were
-- dead that the server should serve others before the rest is looked at.
local function advance(me, ttl)
  local place = 0
  for _ = 1, 64 do
    local entry, token, channel, window
    place, entry, token, channel, window = entry_from(place)
    if not entry then
      return 'nobody'
    end
    if token == me then
      redis.call('ZREM', KEYS[3], entry)
      redis.call('SET', KEYS[1], token, 'PX', ttl)
      hint(place, ttl, me)
      return 'mine'
    end
    if is_live(channel) then
      -- The number comes first, because its key may be of another type; then nothing can fail.
      local number = next_number()
      redis.call('ZREM', KEYS[3], entry)
      redis.call('SET', KEYS[1], token, 'PX', window)
      redis.call('PEXPIRE', KEYS[3], 60000)
      redis.pcall('PUBLISH', channel, string.format('g %s %.0f %s', token, number, window))
      hint(place, window, me)
      return 'given'
    end
    -- It comes back with its ticket, if it does.
    redis.call('ZREM', KEYS[3], entry)
  end
  return 'more'
end
