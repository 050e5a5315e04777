#!lua
-- Stores messages with their fan-out: all checks first, then all writes.
--
-- ARGV: publications, life of a message, life of one without targets, life of history (ms); then each
--       id, record, header, version (empty: any, and its one entry is a fan-out), terms (empty, or its
--       life, what left begins with, quota (0: none), and width of a slot of time (ms)), dedups, (fingerprint, life)..., targets, (entry)...
-- KEYS: each body, left, app, log, (dedup)..., (lane)...
-- Answer, for each: 'accepted', 'missing', 'stale', 'full', or '<dedup, from 0> <its value>' where one is taken.

local message_life, retention, history = ARGV[2], ARGV[3], tonumber(ARGV[4])

-- Where an application has a quota, its hash counts the bytes of messages with open deliveries by the
-- slot of time in which their bodies end at the latest: fields b:<slot % SLOTS>, each '<slot> <bytes>'.
-- What nobody gives back goes with its slot. Which field a message counts in, `left` says by this unit.
local SLOTS, CHARGED = 64, 100000000000000

local jobs, bodies, dedup_keys = {}, {}, {}
local k, a = 0, 4
for i = 1, tonumber(ARGV[1]) do
  local job = {
    body = KEYS[k + 1], left = KEYS[k + 2], app = KEYS[k + 3], log = KEYS[k + 4],
    id = ARGV[a + 1], record = ARGV[a + 2], header = ARGV[a + 3], version = ARGV[a + 4],
    terms = ARGV[a + 5], dedups = {}, targets = {},
  }
  local dedups = tonumber(ARGV[a + 6])
  k, a = k + 4, a + 6
  for d = 1, dedups do
    job.dedups[d] = {key = KEYS[k + d], value = job.id .. ARGV[a + 1], life = ARGV[a + 2]}
    dedup_keys[#dedup_keys + 1] = KEYS[k + d]
    a = a + 2
  end
  k = k + dedups
  local targets = tonumber(ARGV[a + 1])
  a = a + 1
  for t = 1, targets do
    job.targets[t] = {lane = KEYS[k + t], entry = ARGV[a + t]}
  end
  k, a = k + targets, a + targets
  jobs[i], bodies[i] = job, job.body
end

-- One command tells, nearly always, that none of the messages is known.
local some_known = redis.call('EXISTS', unpack(bodies)) > 0
local accepted, versions, claimed = {}, {}, {}
for d, value in ipairs(#dedup_keys > 0 and redis.call('MGET', unpack(dedup_keys)) or {}) do
  claimed[dedup_keys[d]] = value
end

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local rings = {}
local function ring(app)
  if not rings[app] then
    local fields = {}
    for i = 1, SLOTS do
      fields[i] = 'b:' .. (i - 1)
    end
    rings[app] = redis.call('HMGET', app, unpack(fields))
  end
  return rings[app]
end

-- Takes room for a message, if there is enough: in memory, written later.
local function charge(job)
  local first = math.floor(now / job.width)
  local slot = math.min(math.floor((now + job.life) / job.width), first + SLOTS - 1)
  local at, held, before = slot % SLOTS + 1, 0, 0
  for i, value in ipairs(ring(job.app)) do
    local of, bytes = string.match(value or '', '^(%d+) (%d+)$')
    if of and tonumber(of) >= first then
      held = held + bytes
      before = (i == at and tonumber(of) == slot) and tonumber(bytes) or before
    end
  end
  if held + #job.record > job.quota then
    return false
  end
  rings[job.app][at] = string.format('%.0f %.0f', slot, before + #job.record)
  job.charged = at
  return true
end

local function judge(job)
  if accepted[job.body] or (some_known and redis.call('EXISTS', job.body) == 1) then
    return 'accepted', false
  end
  local version = versions[job.app]
  if version == nil then
    version = redis.call('HGET', job.app, 'v')
    versions[job.app] = version
  end
  if not version then
    return 'missing', false
  elseif version ~= job.version and job.version ~= '' then
    return 'stale', false
  end
  for d, dedup in ipairs(job.dedups) do
    local value = claimed[dedup.key]
    if value then
      -- Its own key: the message was stored, and its body has gone since.
      if string.sub(value, 1, #job.id) == job.id then
        return 'accepted', false
      end
      return (d - 1) .. ' ' .. value, false
    end
  end
  if job.terms ~= '' then
    local life, left, quota, width = string.match(job.terms, '^(%d+) (%d+) (%d+) (%d+)$')
    job.life, job.left_begins = tonumber(life), tonumber(left)
    job.quota, job.width = tonumber(quota), tonumber(width)
    if job.quota > 0 and #job.targets > 0 and not charge(job) then
      return 'full', false
    end
  end
  accepted[job.body] = true
  for _, dedup in ipairs(job.dedups) do
    claimed[dedup.key] = dedup.value
  end
  return 'accepted', true
end

local answers, stores = {}, {}
for i, job in ipairs(jobs) do
  answers[i], stores[i] = judge(job)
end

local oldest = string.format('%.0f', now - history)
local trimmed = {}
for i, job in ipairs(jobs) do
  if stores[i] then
    -- The body, by which a repetition is recognised, comes after the deliveries: should a write fail
    -- half way, the repetition writes them once more rather than never. The dedup keys come last.
    local field = job.version == '' and 'f' or 'd'
    for _, target in ipairs(job.targets) do
      redis.call('XADD', target.lane, '*', field, target.entry)
    end
    if trimmed[job.log] then
      redis.call('XADD', job.log, '*', 'h', job.header)
    else
      redis.call('XADD', job.log, 'MINID', '~', oldest, 'LIMIT', '1000', '*', 'h', job.header)
      redis.call('PEXPIRE', job.log, ARGV[4])
      trimmed[job.log] = true
    end
    local life = #job.targets > 0 and message_life or retention
    if job.terms ~= '' then
      life = string.format('%.0f', job.life)
      local left = job.left_begins + (job.charged or 0) * CHARGED
      redis.call('SET', job.left, string.format('%.0f', left), 'PX', life)
      if job.charged then
        redis.call('HSET', job.app, 'b:' .. (job.charged - 1), rings[job.app][job.charged])
      end
    elseif #job.targets > 1 then
      redis.call('SET', job.left, #job.targets, 'PX', life)
    end
    redis.call('SET', job.body, job.record, 'PX', life)
    for _, dedup in ipairs(job.dedups) do
      redis.call('SET', dedup.key, dedup.value, 'PX', dedup.life)
    end
  end
end
return answers
