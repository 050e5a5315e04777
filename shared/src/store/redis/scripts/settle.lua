#!lua flags=allow-oom
-- Settles what the owners of some lanes did: all checks first, then all writes.
--
-- ARGV: retention, life of history (ms), first score that is a time, lanes; then for each lane
--         fence, first and last entry (empty: none), settlements that name one, queues; then for each queue
--           queue, settlements, change (empty: none; then
--           state (empty: as it is), reopens (ms; empty: as it is)); then for each settlement
--             entry (empty: it waits), member, attempts before, record (or empty), verdict; then
--               if that is retry: delay (ms), tries; if it is dead: dead letter
-- KEYS: for each lane lease, stream, agenda; then for each of its queues
--         app, waiting set, tries, attempts, tally, if there is a change: state; then for each settlement
--           body, left, attempts of the message, attempts of messages with a sole one, if it is dead: dead letters
-- A queue is ordered if it is named `...~<number>`: what is retried keeps its score there.
-- Verdicts: delivered, retry, dead, deleted.
-- Numbers are handed to commands as texts: of a number, Redis prints 17 digits.
-- Answer, for each lane: nothing if fenced, otherwise '1' for each settlement that was done and '0' for
-- each that was not there, in the order of the arguments.

-- A message of which a delivery died keeps its body as long as the dead letter. `left` remembers that
-- by this summand, because the last delivery to end may be another one.
local DIED = 1000000
-- A message with a retention of its own carries it there too, in minutes by this unit.
local KEPT, MINUTE = 10000000, 60000
-- And one that counts towards its application's quota the field of the count, as publish says.
local CHARGED = 100000000000000

-- Where an attempt is: the endpoint, the entry of its history, and which of that. In a string all are as long
-- as this, so that a page of them is cut out of it.
local PLACE = '%-56s'

local retention, history, first_time = ARGV[1], ARGV[2], tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local oldest = string.format('%.0f', now - history)
-- A tally's fields are named after their hour, and live as long as what they count.
local HOUR = 3600000
local hour = string.format('%.0f', math.floor(now / HOUR))
local hours_life = string.format('%.0f', history + HOUR)
local DELIVERED, FAILED, GIVEN_UP = hour .. 'd', hour .. 'f', hour .. 'g'
-- How long the name of a queue without a strand is.
local PLAIN = 44

local lanes, leases = {}, {}
local k, a = 0, 4
for l = 1, tonumber(ARGV[4]) do
  local lane = {
    stream = KEYS[k + 2], agenda = KEYS[k + 3], queues = {},
    fence = ARGV[a + 1], first = ARGV[a + 2], last = ARGV[a + 3], streaming = tonumber(ARGV[a + 4]),
  }
  leases[l] = KEYS[k + 1]
  local queues = tonumber(ARGV[a + 5])
  k, a = k + 3, a + 5
  for q = 1, queues do
    local name = ARGV[a + 1]
    local queue = {
      app = KEYS[k + 1], wait = KEYS[k + 2], try = KEYS[k + 3], att = KEYS[k + 4], tally = KEYS[k + 5],
      name = name, ordered = #name > PLAIN and string.find(name, '~%d') ~= nil,
      items = {}, members = {}, waits = false, asks_endpoint = false,
    }
    local items, change = tonumber(ARGV[a + 2]), ARGV[a + 3]
    k, a = k + 5, a + 3
    if change ~= '' then
      queue.state_key, queue.state, queue.reopens = KEYS[k + 1], ARGV[a + 1], ARGV[a + 2]
      queue.asks_endpoint = queue.state ~= ''
      k, a = k + 1, a + 2
    end
    for i = 1, items do
      local item = {
        body = KEYS[k + 1], left = KEYS[k + 2], mat = KEYS[k + 3], sole = KEYS[k + 4],
        entry = ARGV[a + 1], member = ARGV[a + 2], before = ARGV[a + 3], record = ARGV[a + 4],
        verdict = ARGV[a + 5],
      }
      k, a = k + 4, a + 5
      if item.verdict == 'retry' then
        item.delay, item.tries = ARGV[a + 1], ARGV[a + 2]
        queue.asks_endpoint = true
        a = a + 2
      elseif item.verdict == 'dead' then
        item.dead, item.letter = KEYS[k + 1], ARGV[a + 1]
        k, a = k + 1, a + 1
      end
      queue.items[i], queue.members[i] = item, item.member
      queue.waits = queue.waits or item.entry == ''
    end
    lane.queues[q] = queue
  end
  lanes[l] = lane
end

local held = redis.call('MGET', unpack(leases))
for l, lane in ipairs(lanes) do
  lane.held = held[l] and string.sub(held[l], 1, #lane.fence) == lane.fence
end

-- A message's deliveries that end here, over all lanes.
local endings, lefts = {}, {}
local function ends(item, app)
  local ending = endings[item.left]
  if not ending then
    ending = {app = app, body = item.body, left = item.left, count = 0, died = false}
    endings[item.left] = ending
    lefts[#lefts + 1] = item.left
  end
  ending.count = ending.count + 1
  ending.died = ending.died or item.verdict == 'dead'
end

-- What is parked was never tried, except in an ordered queue, where it keeps its score.
local function any_timed(scores)
  for _, score in ipairs(scores) do
    if score and tonumber(score) >= first_time then
      return true
    end
  end
  return false
end

-- Mostly a queue of which one is settled holds nothing else: then it goes as a whole.
local function scores_of(queue)
  if #queue.members == 1 then
    local found = redis.call('ZRANGE', queue.wait, '0', '1', 'WITHSCORES')
    if #found == 2 and found[1] == queue.members[1] then
      queue.holds_one = true
      return {found[2]}
    end
  end
  return redis.call('ZMSCORE', queue.wait, unpack(queue.members))
end

local function check(lane)
  local found, limit, entries = {}, 2 * lane.streaming, {}
  if lane.streaming > 0 then
    -- Mostly neighbours, so that one read finds them all.
    entries = redis.call('XRANGE', lane.stream, lane.first, lane.last, 'COUNT', limit)
    for _, entry in ipairs(entries) do
      found[entry[1]] = entry[2]
    end
  end
  local function carries(id, want)
    local fields = found[id]
    if not fields and #entries == limit then
      local single = redis.call('XRANGE', lane.stream, id, id)[1]
      fields = single and single[2]
    end
    return fields and fields[1] == 'd'
      and (fields[2] == want or string.sub(fields[2], 1, #want + 1) == want .. ';')
  end
  for _, queue in ipairs(lane.queues) do
    local scores, tries, seen = {}, {}, {}
    if queue.waits then
      scores = scores_of(queue)
      if queue.ordered or any_timed(scores) then
        tries = redis.call('HMGET', queue.try, unpack(queue.members))
      end
    end
    -- The field is named as keys.rs says.
    queue.exists = queue.asks_endpoint
      and redis.call('HEXISTS', queue.app, 'ep:' .. string.sub(queue.name, 1, 22)) == 1
    for i, item in ipairs(queue.items) do
      -- What flows was never tried, even if the same delivery waits too: an entry that could not be
      -- settled would be sent for ever.
      local there, before = false, '0'
      if item.entry == '' then
        there = scores[i]
        before = tries[i] and string.match(tries[i], '^%d+') or '0'
        item.tried = tries[i]
      else
        there = carries(item.entry, queue.name .. item.member)
          and not (queue.ordered and item.verdict == 'retry')
      end
      if there and before == item.before and not seen[item.member] then
        seen[item.member] = true
        item.done = true
        if item.verdict == 'retry' and not queue.exists then
          item.verdict = 'deleted'
        end
        if item.verdict ~= 'retry' then
          ends(item, queue.app)
        end
      end
    end
  end
end

for _, lane in ipairs(lanes) do
  if lane.held then
    check(lane)
  end
end
local opens = #lefts > 0 and redis.call('MGET', unpack(lefts)) or {}
for i, left in ipairs(lefts) do
  local stored, ending = tonumber(opens[i] or 0), endings[left]
  ending.counted = opens[i]
  if stored >= CHARGED then
    ending.field = 'b:' .. (math.floor(stored / CHARGED) - 1)
    ending.size = redis.call('STRLEN', ending.body)
  end
end

-- Counts in the tally; answers whether it is the first to do so in this hour.
local function begins_hour(queue, field, count)
  if count == 0 then
    return false
  end
  local text = count == 1 and '1' or string.format('%.0f', count)
  return redis.call('HINCRBY', queue.tally, field, text) == count
end

-- Where the attempts of messages are. Mostly the first brings a message's one delivery: one command
-- writes those of many.
local soles, sole_keys = {}, {}
local notes, noted = {}, {}
local function note(item, place)
  local ending = endings[item.left]
  -- What comes long after the first is none: a retry, or a generation that was sent again.
  local is_first = item.before == '0' and #item.member <= 22
  if is_first and ending and not ending.counted then
    local of = soles[item.sole]
    if not of then
      of = {}
      soles[item.sole] = of
      sole_keys[#sole_keys + 1] = item.sole
    end
    of[#of + 1] = item.member
    of[#of + 1] = place
    return
  end
  local of = notes[item.mat]
  if not of then
    of = {mat = item.mat, places = {}, late = false}
    notes[item.mat] = of
    noted[#noted + 1] = of
  end
  of.places[#of.places + 1] = string.format(PLACE, place)
  of.late = of.late or not is_first
end

local function write_note(of)
  local places = table.concat(of.places)
  if redis.call('APPEND', of.mat, places) == #places or of.late then
    redis.call('PEXPIRE', of.mat, history)
  end
end

-- Waiting sets that go as a whole, over all lanes.
local emptied = {}
local function write_queue(lane, queue, removals, lowered, unlisted)
  local added, removed, tried, untried, records, recorded = {}, {}, {}, {}, {}, {}
  local delivered, failed, given_up = 0, 0, 0
  local earliest
  for _, item in ipairs(queue.items) do
    if item.done then
      if item.entry ~= '' then
        removals[#removals + 1] = item.entry
      elseif item.verdict ~= 'retry' then
        removed[#removed + 1] = item.member
      end
      if item.verdict == 'retry' then
        local due = now + item.delay
        tried[#tried + 1] = item.member
        if queue.ordered then
          tried[#tried + 1] = item.tries .. ':' .. string.format('%.0f', due)
        else
          tried[#tried + 1] = item.tries
          added[#added + 1] = string.format('%.0f', due)
          added[#added + 1] = item.member
        end
        earliest = math.min(earliest or due, due)
      elseif item.tried then
        untried[#untried + 1] = item.member
      end
      if item.record ~= '' and item.verdict ~= 'deleted' then
        records[#records + 1] = item.record
        recorded[#recorded + 1] = item
        if item.verdict == 'delivered' then
          delivered = delivered + 1
        else
          failed = failed + 1
        end
      end
      if item.verdict == 'dead' then
        given_up = given_up + 1
        redis.call('XADD', item.dead, 'MINID', '~', oldest, 'LIMIT', '1000', '*',
          string.sub(queue.name, 23, 44), item.letter)
        redis.call('PEXPIRE', item.dead, history)
      end
    end
  end
  if #added > 0 then
    redis.call('ZADD', queue.wait, unpack(added))
  end
  if #tried > 0 then
    redis.call('ZADD', lane.agenda, queue.ordered and 'XX' or 'LT',
      string.format('%.0f', earliest), queue.name)
    redis.call('HSET', queue.try, unpack(tried))
  end
  if #untried > 0 then
    redis.call('HDEL', queue.try, unpack(untried))
  end
  if queue.reopens and queue.reopens ~= '' then
    redis.call('ZADD', lane.agenda, 'XX', string.format('%.0f', now + queue.reopens), queue.name)
  end
  if #removed > 0 and queue.holds_one then
    emptied[#emptied + 1] = queue.wait
    unlisted[#unlisted + 1] = queue.name
  elseif #removed > 0 then
    redis.call('ZREM', queue.wait, unpack(removed))
    lowered[#lowered + 1] = queue
  end
  if #records > 0 then
    local entry = redis.call('XADD', queue.att, 'MINID', '~', oldest, 'LIMIT', '1000', '*',
      string.sub(queue.name, 23, 44), '[' .. table.concat(records, ',') .. ']')
    local endpoint = string.sub(queue.name, 1, 22)
    for i, item in ipairs(recorded) do
      note(item, endpoint .. entry .. '.' .. (i - 1))
    end
  end
  local of_delivered = begins_hour(queue, DELIVERED, delivered)
  local of_failed = begins_hour(queue, FAILED, failed)
  local of_given_up = begins_hour(queue, GIVEN_UP, given_up)
  -- The first of an hour sees to it that all of the hour is kept as long as its last.
  if of_delivered or of_failed then
    redis.call('PEXPIRE', queue.att, hours_life)
  end
  if of_delivered or of_failed or of_given_up then
    redis.call('PEXPIRE', queue.tally, hours_life)
  end
  if queue.exists and queue.state and queue.state ~= '' then
    redis.call('SET', queue.state_key, queue.state)
  end
end

-- Queues of which something was removed: an empty one leaves the agenda. Mostly all of them are empty,
-- and then one command tells.
local function reschedule(lane, lowered, all_empty)
  if all_empty then
    local names = {}
    for i, queue in ipairs(lowered) do
      names[i] = queue.name
    end
    redis.call('ZREM', lane.agenda, unpack(names))
    return
  end
  for _, queue in ipairs(lowered) do
    if redis.call('EXISTS', queue.wait) == 0 then
      redis.call('ZREM', lane.agenda, queue.name)
    elseif queue.ordered then
      redis.call('ZADD', lane.agenda, 'XX', 'LT', string.format('%.0f', now), queue.name)
    end
  end
end

local answers, all_lowered, waits = {}, {}, {}
for l, lane in ipairs(lanes) do
  answers[l] = false
  if lane.held then
    local removals, lowered, unlisted, flags = {}, {}, {}, {}
    for _, queue in ipairs(lane.queues) do
      write_queue(lane, queue, removals, lowered, unlisted)
      for _, item in ipairs(queue.items) do
        flags[#flags + 1] = item.done and '1' or '0'
      end
    end
    if #removals > 0 then
      redis.call('XDEL', lane.stream, unpack(removals))
    end
    if #unlisted > 0 then
      redis.call('ZREM', lane.agenda, unpack(unlisted))
    end
    if #lowered > 0 then
      all_lowered[#all_lowered + 1] = {lane, lowered}
      for _, queue in ipairs(lowered) do
        waits[#waits + 1] = queue.wait
      end
    end
    answers[l] = table.concat(flags)
  end
end
if #emptied > 0 then
  redis.call('UNLINK', unpack(emptied))
end
if #waits > 0 then
  local all_empty = redis.call('EXISTS', unpack(waits)) == 0
  for _, of in ipairs(all_lowered) do
    reschedule(of[1], of[2], all_empty)
  end
end

-- What is left of a message that has a counter (more than one delivery, or terms of its own), or needs
-- one, because a delivery died.
local function count_down(left, stored, ending)
  local charged = math.floor(stored / CHARGED) * CHARGED
  local minutes = math.floor(stored % CHARGED / KEPT)
  stored = stored % KEPT
  local kept = minutes > 0 and minutes * MINUTE or tonumber(retention)
  local died = ending.died or stored >= DIED
  local open = stored % DIED - ending.count
  local value = string.format('%.0f', math.max(open, 0) + (died and DIED or 0) + minutes * KEPT
    + (open > 0 and charged or 0))
  if open > 0 then
    redis.call('SET', left, value, 'KEEPTTL')
    if ending.died then
      redis.call('PEXPIRE', left, history, 'GT')
      redis.call('PEXPIRE', ending.body, history, 'GT')
    end
    return
  end
  local life = string.format('%.0f', died and math.max(kept, tonumber(history)) or kept)
  if value ~= '0' then
    -- What a resend must know.
    redis.call('SET', left, value, 'PX', life)
  else
    redis.call('UNLINK', left)
  end
  redis.call('PEXPIRE', ending.body, life)
  local count = ending.field and redis.call('HGET', ending.app, ending.field)
  local slot, bytes = string.match(count or '', '^(%d+) (%d+)$')
  if slot then
    local rest = string.format('%s %.0f', slot, math.max(bytes - ending.size, 0))
    redis.call('HSET', ending.app, ending.field, rest)
  end
end

for _, key in ipairs(sole_keys) do
  redis.call('HSET', key, unpack(soles[key]))
  redis.call('PEXPIRE', key, history)
end
for _, of in ipairs(noted) do
  write_note(of)
end
for i, left in ipairs(lefts) do
  local ending = endings[left]
  if opens[i] or ending.died then
    count_down(left, tonumber(opens[i] or ending.count), ending)
  else
    redis.call('PEXPIRE', ending.body, retention)
  end
end
return answers
