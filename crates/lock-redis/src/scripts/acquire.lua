-- KEYS: lock, fence. ARGV: token, ttl in ms, last server time in µs at which this may run.
-- Replies: the grant's number, which is the server's time too; or
-- {1, number, lease in ms, µs} granted, {0, pttl in ms, µs} busy, {-1, µs} too late.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
if now - ARGV[3] > 0 then
  return {-1, now}
end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then
  local last = redis.pcall('SET', KEYS[2], now, 'GET')
  if not last then
    return now
  end
  if type(last) == 'table' then
    -- Scripts are not rolled back: without a number there is no grant.
    redis.call('DEL', KEYS[1])
    return last
  end
  last = tonumber(last)
  if not last or last < now then
    return now
  end
  redis.call('SET', KEYS[2], last + 1)
  return {1, last + 1, ARGV[2] + 0, now}
end

local left = redis.call('PTTL', KEYS[1])
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return {0, left, now}
end
-- This token's request came before: the same grant under a new number, and never shorter.
local number = now
local last = tonumber(redis.call('SET', KEYS[2], now, 'GET') or 0)
if last and last >= now then
  number = last + 1
  redis.call('SET', KEYS[2], number)
end
local ttl = ARGV[2] + 0
if left < ttl then
  redis.call('PEXPIRE', KEYS[1], ttl)
  left = ttl
end
return {1, number, left, now}
