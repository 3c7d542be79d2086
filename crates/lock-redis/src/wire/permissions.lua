-- ARGV: commands, each as words. Replies: what became of each, empty unless it failed.
local replies = {}
for i, line in ipairs(ARGV) do
  local words = {}
  for word in string.gmatch(line, '%S+') do
    words[#words + 1] = word
  end
  local answer = redis.pcall(unpack(words))
  replies[i] = type(answer) == 'table' and answer.err or ''
end
return replies
