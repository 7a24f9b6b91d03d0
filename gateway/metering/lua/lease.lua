-- Hold what a call may come to, the whole or as much as fits.
--   KEYS: epoch, expiries, rebuilding, the accounts (hard budgets, soft ones, requests, tokens, gates), this lease
--   ARGV: the epoch that the caller knows; the plan; the call
-- Answers a code and what belongs to it; accounts by their place in the plan, 0 for none.

local spec, call = cmsgpack.unpack(ARGV[2]), cmsgpack.unpack(ARGV[3])
local now, expires, prompt, choices = call.now, call.expires, call.prompt, call.choices
local completion, limited_by = call.completion, 0
local hard = spec.hard
local first = { budgets = 3, requests = 3 + #spec.budgets }
first.tokens = first.requests + #spec.requests
first.gates = first.tokens + #spec.tokens
local rates = {}

local function answer(...)
  for key, rate in pairs(rates) do
    keep_level(key, rate)
  end
  return cmsgpack.pack({ ... })
end

local function rate_of(at, amount)
  local key = KEYS[at]
  rates[key] = rates[key] or drained(key, amount, now)
  return rates[key]
end

local function tokens_of(each)
  local whole = prompt + choices * each
  return call.most > 0 and math.min(whole, call.most) or whole
end

-- Rounded up to a billionth; a token's price is in millionths of one, so its whole and its rest are multiplied apart.
local function cost_of(each)
  local written = choices * each
  local rest = call.prompt_rest + written * spec.output_rest
  return call.prompt_cost + written * spec.output + math.ceil(rest / MILLION)
end

-- a / b rounded down, for whole numbers that a double holds.
local function share(a, b)
  local whole = math.floor(a / b)
  return whole * b > a and whole - 1 or whole
end

-- Tokens of each answer that an amount of money pays for; below 1: not even one.
local function paid(room)
  local price = choices * (spec.output + spec.output_rest / MILLION)
  if price == 0 or cost_of(0) > room then
    return -1
  end
  local each = math.min(completion, math.floor((room - call.prompt_cost - call.prompt_rest / MILLION) / price))
  while cost_of(each) > room do
    each = each - 1
  end
  while cost_of(each + 1) <= room do
    each = each + 1
  end
  return each
end

if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then
  return answer('epoch')
end
if #spec.budgets > 0 and redis.call('EXISTS', KEYS[3]) == 1 then
  return answer('rebuilding')
end

-- What processes that died have left, a little with each call.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, 5)) do
  local key = spec.leases .. id
  local kept = redis.call('GET', key)
  if kept and kept ~= '' then
    local lease = cmsgpack.unpack(kept)
    book(id, lease, lease, now, false)
    lease.reaped = true
    redis.call('SET', key, cmsgpack.pack(lease), 'EX', DAY)
  end
  redis.call('ZREM', KEYS[2], id)
end

local windows, unopened = {}, {}
for i, budget in ipairs(spec.budgets) do
  windows[i] = window(KEYS[first.budgets + i], budget.ends, now)
  if not windows[i] then
    unopened[#unopened + 1] = i
  end
end
if #unopened > 0 then
  return answer('unopened', unpack(unopened))
end
for i, amount in ipairs(spec.gates) do
  if tonumber(redis.call('GET', KEYS[first.gates + i]) or 0) >= amount then
    return answer('full', i)
  end
end
for i, amount in ipairs(spec.requests) do
  local over = rate_of(first.requests + i, amount).level + 1 - amount
  if over > 0 then
    return answer('requests', i, over)
  end
end

for i, amount in ipairs(spec.tokens) do -- what no waiting would let through is made shorter
  if tokens_of(completion) > amount then
    if not call.exact then
      return answer('count')
    end
    local fits = choices > 0 and share(amount - prompt, choices) or 0
    if fits < 1 then
      return answer('never', i)
    end
    completion, limited_by = fits, #spec.budgets + i
  end
end
-- Tokens that the tightest hard budget has beside so many more; -1 where none counts tokens.
local function left_beside(tokens)
  local left = -1
  for i = 1, hard do
    local budget, open = spec.budgets[i], windows[i]
    if not budget.money then
      local room = math.max(0, budget.amount - open.spent - open.leased - tokens)
      left = left < 0 and room or math.min(left, room)
    end
  end
  return left
end

for i = 1, hard do
  local budget, open = spec.budgets[i], windows[i]
  local room = budget.amount - open.spent - open.leased
  local needed = budget.money and cost_of(completion) or tokens_of(completion)
  if needed > room then
    if not call.exact then
      return answer('count')
    end
    local fits = 0
    if choices > 0 then
      fits = budget.money and paid(room) or share(room - prompt, choices)
    end
    if fits < 1 then
      return answer('budget', i, open.spent, open.leased, open.ends, left_beside(0))
    end
    completion, limited_by = fits, i
  end
end
for i, amount in ipairs(spec.tokens) do
  local over = rate_of(first.tokens + i, amount).level + tokens_of(completion) - amount
  if over > 0 then
    return answer(call.exact and 'tokens' or 'count', i, over, tokens_of(completion))
  end
end

local held = { tokens = tokens_of(completion), money = spec.priced and math.min(FOREVER, cost_of(completion)) or 0 }
local ends, accounts = {}, {}
for i, open in ipairs(windows) do
  ends[i] = open.ends
end
for i = 1, #KEYS - 4 do
  accounts[i] = KEYS[3 + i]
end
local lease = { tokens = held.tokens, money = held.money, spec = ARGV[2], keys = accounts, ends = ends }
if not redis.call('SET', KEYS[#KEYS], cmsgpack.pack(lease), 'EX', KEPT, 'NX') then
  return answer('cancelled')
end
redis.call('ZADD', KEYS[2], expires, call.id)
redis.call('EXPIRE', KEYS[2], KEPT)

local exceeded = 0
for i, budget in ipairs(spec.budgets) do
  local open, key = windows[i], KEYS[first.budgets + i]
  local amount = budget.money and held.money or held.tokens
  redis.call('HINCRBY', key, 'leased', amount)
  if open.ends >= FOREVER then
    keep_window(key, open.ends, now)
  end
  if i > hard and open.spent + open.leased + amount > budget.amount then
    exceeded = i
  end
end
local levels = {}
for i, amount in ipairs(spec.requests) do
  local rate = rate_of(first.requests + i, amount)
  rate.level = rate.level + 1
  levels[i] = rate.level
end
for i, amount in ipairs(spec.tokens) do
  local rate = rate_of(first.tokens + i, amount)
  rate.level = rate.level + held.tokens
  levels[#spec.requests + i] = rate.level
end
for i = 1, #spec.gates do
  redis.call('INCR', KEYS[first.gates + i])
  redis.call('EXPIRE', KEYS[first.gates + i], KEPT)
end
local left = left_beside(held.tokens)
return answer('leased', held.tokens, held.money, completion, limited_by, exceeded, left, unpack(levels))
