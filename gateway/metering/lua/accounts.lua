-- What the scripts share; it stands before each of them.
--
-- A budget's window is a hash of `ends`, `spent` and `leased`; without `spent` it is not open. A rate is its time and
-- level, two doubles. A gate is a number. A lease is what it holds of which of them. All amounts are whole and at most
-- 2^53, which a double holds exactly; where a product may be larger, it is taken in two parts.

local FOREVER = 2 ^ 53
local DAY = 86400
local KEPT = 32 * DAY
local LATE = 7200
local MILLION = 1000000

-- For as long as somebody may need it: a call on its way may miss its window's end.
local function keep_window(key, ends, now)
  redis.call('EXPIRE', key, math.min(KEPT, math.max(0, math.ceil(ends - now)) + LATE))
end

-- The window that runs now; nil where it is not open. One that follows an open one begins empty.
local function window(key, ends, now)
  local kept = redis.call('HMGET', key, 'ends', 'spent', 'leased')
  if not kept[2] then
    return nil
  end
  if now < tonumber(kept[1]) then
    return { ends = tonumber(kept[1]), spent = tonumber(kept[2]), leased = tonumber(kept[3]) }
  end
  redis.call('HSET', key, 'ends', ends, 'spent', 0, 'leased', 0)
  keep_window(key, ends, now)
  return { ends = ends, spent = 0, leased = 0 }
end

-- How full a rate is now: it drains evenly over a minute.
local function drained(key, amount, now)
  local kept = redis.call('GET', key)
  if not kept then
    return { at = now, level = 0 }
  end
  local at, level = struct.unpack('dd', kept)
  if now > at then
    return { at = now, level = math.max(0, level - (now - at) * amount / 60) }
  end
  return { at = at, level = level }
end

local function keep_level(key, rate)
  redis.call('SET', key, struct.pack('dd', rate.at, rate.level), 'EX', LATE)
end

-- Book what was charged where a lease holds. Reaped before, it was charged in full and has let go of all else.
--   late: a sorted set beside a window that is not open, of what was charged when.
local function book(id, lease, charged, now, reaped)
  local spec, keys, at = cmsgpack.unpack(lease.spec), lease.keys, 0
  for i, budget in ipairs(spec.budgets) do
    at = at + 1
    local unit = budget.money and 'money' or 'tokens'
    local key, held, amount = keys[at], lease[unit], charged[unit]
    local kept = redis.call('HMGET', key, 'ends', 'spent')
    if kept[1] and tonumber(kept[1]) == lease.ends[i] then
      if not reaped then
        redis.call('HINCRBY', key, 'leased', 0 - held)
      end
      amount = reaped and amount - held or amount
      if kept[2] then
        redis.call('HINCRBY', key, 'spent', amount)
      else
        redis.call('ZADD', key .. ':late', now, string.format('%.0f %s', amount, id))
        redis.call('EXPIRE', key .. ':late', DAY)
      end
    end
  end
  at = at + #spec.requests + #spec.tokens
  for _ = 1, reaped and 0 or #spec.gates do
    at = at + 1
    if redis.call('DECR', keys[at]) <= 0 then
      redis.call('DEL', keys[at])
    end
  end
end

-- Give a lease back to the rates what it did not use of them.
local function give_back(lease, charged, now)
  local spec = cmsgpack.unpack(lease.spec)
  local at = #spec.budgets + #spec.requests
  for i, amount in ipairs(spec.tokens) do
    local key = lease.keys[at + i]
    local rate = drained(key, amount, now)
    rate.level = math.max(0, rate.level - lease.tokens + charged.tokens)
    keep_level(key, rate)
  end
end
