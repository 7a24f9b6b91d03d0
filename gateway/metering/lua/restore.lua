-- Hold again what a call under way held in an epoch that is over, or took while Redis was lost.
--   KEYS: epoch, expiries, rebuilding, the accounts, the lease    ARGV: the epoch that the caller knows; the plan; the lease

if redis.call('HGET', KEYS[1], 'id') ~= ARGV[1] then
  return false
end
local spec, call = cmsgpack.unpack(ARGV[2]), cmsgpack.unpack(ARGV[3])
local accounts, ends = {}, {}
for i = 1, #KEYS - 4 do
  accounts[i] = KEYS[3 + i]
end
for i, budget in ipairs(spec.budgets) do
  ends[i] = budget.ends
end
local lease = { tokens = call.tokens, money = call.money, spec = ARGV[2], keys = accounts, ends = ends }
if not redis.call('SET', KEYS[#KEYS], cmsgpack.pack(lease), 'EX', KEPT, 'NX') then
  return 1
end
redis.call('ZADD', KEYS[2], call.expires, call.id)
redis.call('EXPIRE', KEYS[2], KEPT)
for i, budget in ipairs(spec.budgets) do
  local kept = redis.call('HGET', accounts[i], 'ends')
  if not kept or tonumber(kept) < budget.ends then
    redis.call('HDEL', accounts[i], 'spent')
    redis.call('HSET', accounts[i], 'ends', budget.ends, 'leased', 0)
    keep_window(accounts[i], budget.ends, call.now)
    kept = budget.ends
  end
  if tonumber(kept) == budget.ends then
    redis.call('HINCRBY', accounts[i], 'leased', budget.money and call.money or call.tokens)
  end
end
for i = #accounts - #spec.gates + 1, #accounts do
  redis.call('INCR', accounts[i])
  redis.call('EXPIRE', accounts[i], KEPT)
end
return 1
