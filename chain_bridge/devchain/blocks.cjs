// Makes a block in one task of Chopsticks' executor, which compiles the runtime anew for each task.
//
// Chopsticks runs a task for the beginning of a block, each inherent, each transaction and the end.
// Here the same calls are made in the same order, in one task. The block counts only when the
// runtime says that it holds all of its transactions. Everything else is left to Chopsticks: a
// transaction that the runtime refuses, messages of a relay chain, the block after the genesis.
const { createRequire } = require('node:module')
const { dirname, join } = require('node:path')
const { isMainThread } = require('node:worker_threads')

const BUILDER = './blockchain/block-builder.js'

if (isMainThread) {
  const core = createRequire(join(dirname(process.argv[1]), '../chopsticks-core/dist/cjs/index.js'))
  const theirs = core(BUILDER)
  const buildBlock = async (head, providers, params, callbacks) => {
    const whole = isPlain(head, params) ? await atOnce(core, head, providers, params) : null
    return whole ? [whole, []] : theirs.buildBlock(head, providers, params, callbacks)
  }
  core.cache[core.resolve(BUILDER)].exports = { ...theirs, buildBlock }
}

// Returns whether a block holds nothing but transactions and comes after the first.
function isPlain(head, params) {
  const { transactions, unsafeBlockHeight, upwardMessages } = params
  const special = unsafeBlockHeight !== undefined || Object.keys(upwardMessages).length > 0
  return head.number > 0 && transactions.length > 0 && !special
}

// Returns the block; null where the runtime left a transaction out or refused the whole.
async function atOnce(core, head, providers, params) {
  const { Block } = core('./blockchain/block.js')
  const { newHeader } = core(BUILDER)
  const { chain, number, storage } = head
  const header = await newHeader(head)
  const parts = { header, extrinsics: [], storage }
  const draft = new Block(chain, number + 1, header.hash.toHex(), head, parts)

  // Inherents follow from the parent, so that they may be made before the block has begun.
  const extrinsics = []
  for (const provider of providers) {
    extrinsics.push(...(await provider.createInherents(draft, params)))
  }
  extrinsics.push(...params.transactions)

  const done = await inOneTask(core, draft, header, extrinsics)
  if (!done || done.offchainStorageDiff.length > 0) return null
  const registry = await head.registry
  const ended = registry.createType('Header', done.result)
  if (ended.extrinsicsRoot.toHex() !== (await rootOf(core, extrinsics))) return null

  // The header, and so the hash, are those that Chopsticks gives.
  const { u8aConcat } = core('@polkadot/util')
  const { blake2AsU8a } = core('@polkadot/util-crypto')
  const extrinsicsRoot = blake2AsU8a(u8aConcat(...extrinsics), 256)
  const final = registry.createType('Header', { ...header.toJSON(), extrinsicsRoot })
  draft.pushStorageLayer().setAll(done.storageDiff)
  const storageDiff = await draft.storageDiff()
  const whole = { header: final, extrinsics, storage, storageDiff }
  return new Block(chain, number + 1, final.hash.toHex(), head, whole)
}

// Returns the result of the last call of a block and the changes of all; undefined on a failure.
async function inOneTask(core, draft, header, extrinsics) {
  const { runTask, taskHandler } = core('./wasm-executor/index.js')
  const { mockSignatureHost, allowUnresolvedImports, runtimeLogLevel } = draft.chain
  const calls = [
    ['Core_initialize_block', [header.toHex()]],
    ...extrinsics.map((body) => ['BlockBuilder_apply_extrinsic', [body]]),
    ['BlockBuilder_finalize_block', []],
  ]
  const options = { mockSignatureHost, allowUnresolvedImports, runtimeLogLevel }
  const task = { wasm: await draft.wasm, calls, ...options }
  return (await runTask(task, taskHandler(draft))).Call
}

// Returns the root of the trie of these extrinsics, as the runtime computes it.
async function rootOf(core, extrinsics) {
  const { calculateStateRoot } = core('./wasm-executor/index.js')
  const { compactToU8a, u8aToHex } = core('@polkadot/util')
  const entries = extrinsics.map((body, place) => [u8aToHex(compactToU8a(place)), body])
  return calculateStateRoot(entries, 0)
}
