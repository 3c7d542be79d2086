-- What acquire and release begin with.
-- The next number of the slot's counter, if that is not new: no server's clock shows a time before
-- 2020, in µs. None also if it may not be drawn so, or the counter is no number.
local function draw()
  local number = redis.pcall('INCR', KEYS[2])
  if type(number) == 'number' and number > 1577836800000000 then
    return number
  end
end
