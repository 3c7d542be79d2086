-- KEYS: lock, fence, queue, mark. ARGV: owner, '1' if the counter is known to have lost no number;
-- from those who have more to say: rest in ms for which the lock stays taken, ms for which nobody in
-- the queue is to have it afterwards, and the entry in the queue, from those who may have one.
-- Replies: 1 released, 0 nobody's, -1 somebody else's; or {one of them} if the dead in the queue
-- were so many that it should be sent again.
local call, sub = redis.call, string.sub
local token = sub(ARGV[1], 4)
local owner = redis.pcall('GET', KEYS[1])
if not ARGV[3] and ARGV[2] == '1' and owner == 'dl+' .. token then
  -- The usual hand-over, to somebody who lives. All else is for what stands below.
  local function read(text)
    local behind = text and string.find(text, ' ', 36, true)
    if behind and sub(text, 1, 2) == '1 ' and sub(text, 35, 35) == ' ' then
      return sub(text, 3, 34), sub(text, 36, behind - 1), sub(text, behind + 1)
    end
  end
  local entries = call('ZRANGE', KEYS[3], '0', '1')
  local first, channel, window = read(entries[1])
  local next, next_channel = read(entries[2])
  if first and (next or not entries[2]) then
    local is_alone = not next or next_channel == channel
    local counts
    if is_alone then
      counts = call('PUBSUB', 'NUMSUB', channel)
    else
      counts = call('PUBSUB', 'NUMSUB', channel, next_channel)
    end
    if counts[2] > 0 and (is_alone or counts[4] > 0) then
      local number = draw()
      if number then
        local marked = (next and 'dl+' or 'dl:') .. first
        -- Its window may be no number, if somebody else wrote it.
        if not redis.pcall('SET', KEYS[1], marked, 'PX', window).err then
          call('ZREM', KEYS[3], entries[1])
          local grant = 'g ' .. first .. ' ' .. string.format('%d', number) .. ' ' .. window
          if next and is_alone then
            -- One message tells both: the process that is subscribed knows who is next.
            grant = grant .. ' ' .. next
          end
          redis.pcall('PUBLISH', channel, grant)
          if not is_alone then
            redis.pcall('PUBLISH', next_channel, 'h ' .. next .. ' ' .. window)
          end
          return 1
        end
      end
    end
  end
end
local now
local rest, look_out, entry = ARGV[3] or '0', ARGV[4] or '0', ARGV[5]
-- GETEX is a GET that counts as a write: a read-only replica refuses it instead of answering 0.
owner = redis.pcall('GETEX', KEYS[1])
