-- KEYS: lock, fence, queue, mark. ARGV: owner, ttl in ms, last server time in µs at which this may
-- run; from those who wait also: channel, window in ms, and the place in the queue: a ticket, 0 for a
-- new one, -1 for none, -2 for none because no push can reach the waiter, which asks again and again.
-- Replies: the grant's number, which is the server's time too; or
-- {1, number, lease in ms, µs} granted, {0, pttl in ms, µs} busy, {-1, µs} too late,
-- {2, ticket, rank, pttl in ms, counter, µs} queued, {3, …} queued behind a holder that will tell
-- nobody of its release.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if now - ARGV[3] > 0 then
  return {-1, now}
end
if redis.call('EXISTS', KEYS[1], KEYS[3], KEYS[4]) == 0 then
  -- Scripts are not rolled back: the number comes first, because its key may be of another type.
  local last = redis.call('SET', KEYS[2], now, 'GET')
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  if not last then
    return now
  end
  last = tonumber(last)
  if not last or last < now then
    return now
  end
  redis.call('SET', KEYS[2], last + 1)
  return {1, last + 1, ARGV[2] + 0, now}
end
