#!lua flags=no-writes
-- Looks at waiting sets.
--
-- KEYS: lease; then for each ask its waiting set and its tries
-- ARGV: fence, first score that is a time; then for each ask how many parked and how many retries
-- Answer: nothing if fenced, otherwise for each ask
--         members parked, members due, delay of the next (ms; -1: none), members in all, tries of both.

local fence, timed = ARGV[1], ARGV[2]
local held = redis.call('GET', KEYS[1])
if not held or string.sub(held, 1, #fence) ~= fence then
  return false
end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local now_text = string.format('%.0f', now)

local answers = {}
for i = 1, (#KEYS - 1) / 2 do
  local wait, try = KEYS[2 * i], KEYS[2 * i + 1]
  local parked = redis.call('ZRANGEBYSCORE', wait, '-inf', '(' .. timed, 'LIMIT', 0, ARGV[2 * i + 1])
  local retries = redis.call('ZRANGEBYSCORE', wait, timed, now_text, 'LIMIT', 0, ARGV[2 * i + 2])
  local later = redis.call(
    'ZRANGEBYSCORE', wait, '(' .. now_text, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
  local members = {}
  for _, member in ipairs(parked) do
    members[#members + 1] = member
  end
  for _, member in ipairs(retries) do
    members[#members + 1] = member
  end
  local tries = {}
  for first = 1, #members, 1000 do
    local page = redis.call(
      'HMGET', try, unpack(members, first, math.min(first + 999, #members)))
    for _, tried in ipairs(page) do
      tries[#tries + 1] = tried
    end
  end
  answers[i] = {
    parked, retries, later[2] and later[2] - now or -1, redis.call('ZCARD', wait), tries,
  }
end
return answers
