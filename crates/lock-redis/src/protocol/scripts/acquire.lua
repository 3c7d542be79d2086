-- KEYS: lock, fence, queue, mark. ARGV: owner, ttl in ms, last server time in µs at which this may
-- run; from those who wait also the place in the queue: a ticket, 'new' for a new one, '0' for a new
-- one where the counter may have lost numbers, '-1' for none, '-2' for none because no push can reach
-- the waiter, which asks again and again; and the entry in the queue, from those who may have one.
-- Replies: the grant's number, which is the server's time too; or
-- {1, number, lease in ms, µs} granted, {0, pttl in ms, µs} busy, {-1, µs} too late,
-- {2, ticket, rank, pttl in ms, counter, µs} queued, {3, …} queued behind a holder that will tell
-- nobody of its release, {4, ticket and counter, µs} queued behind others.
local call, sub = redis.call, string.sub
local time = call('TIME')
local now = time[1] * 1000000 + time[2]
if now - ARGV[3] > 0 then
  return {-1, now}
end
local token = sub(ARGV[1], 4)
local owner = call('GET', KEYS[1])
if not owner then
  if call('EXISTS', KEYS[3], KEYS[4]) == 0 then
    -- Scripts are not rolled back: the number comes first, because its key may be of another type.
    local last = call('SET', KEYS[2], now, 'GET')
    call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    if not last then
      return now
    end
    last = tonumber(last)
    if not last or last < now then
      return now
    end
    call('SET', KEYS[2], last + 1)
    return {1, last + 1, ARGV[2] + 0, now}
  end
elseif ARGV[4] == 'new' and sub(owner, 1, 3) == 'dl+' and sub(owner, 4) ~= token then
  -- Others wait already, and watch the holder.
  local ticket = draw()
  if ticket and call('ZADD', KEYS[3], 'NX', string.format('%d', ticket), ARGV[5]) == 1 then
    if ticket % 32 < 2 then
      -- Now and then, where nobody waits for so long that it asks again.
      call('PEXPIRE', KEYS[3], '60000')
    end
    return {4, ticket, now}
  end
end
