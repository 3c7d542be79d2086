-- KEYS: lock, and from those who know of queues: fence, queue, mark. ARGV: owner, rest in ms for which
-- the lock stays taken, ms for which nobody in the queue is to have it afterwards; from those who may
-- be queued also: channel, window in ms.
-- Replies: 1 released, 0 nobody's, -1 somebody else's; or {one of them} if the dead in the queue
-- were so many that it should be sent again.
-- GETEX is a GET that counts as a write: a read-only replica refuses it instead of answering 0.
local owner = redis.pcall('GETEX', KEYS[1])
local reply
local is_free = ARGV[2] == '0'
if owner == ARGV[1] then
  if not is_free then
    redis.call('SET', KEYS[1], 'min:' .. owner, 'PX', ARGV[2])
  end
  reply = 1
elseif not owner then
  is_free = true
  reply = 0
elseif type(owner) == 'table' then
  if not string.find(owner.err, 'WRONGTYPE', 1, true) then
    return owner
  end
  is_free = false
  reply = -1
elseif owner == 'min:' .. ARGV[1] then
  -- It was released before and rests: a repetition does not extend that, an undo ends it.
  reply = 1
else
  is_free = false
  reply = -1
end
local beside = KEYS[3] and redis.call('EXISTS', KEYS[3], KEYS[4]) or 0
if beside == 0 and ARGV[3] == '0' then
  if is_free and owner then
    redis.call('DEL', KEYS[1])
  end
  return reply
end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
