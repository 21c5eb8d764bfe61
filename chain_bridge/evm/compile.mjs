// Compiles every contract of a folder with npm's solc, without a network.
//
//   node compile.mjs PROGRAMS CONTRACTS OUT
//
// PROGRAMS holds node_modules with solc and the imported contracts. Writes OUT/NAME.json for every
// contract that can be deployed: what a replay needs, and what a second compilation is compared with.
import { createHash } from 'node:crypto'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

const [programs, contracts, out] = process.argv.slice(2)
const solc = createRequire(join(programs, 'package.json'))('solc')

// Without metadata in the bytecode it depends on the sources alone, not on where they lie.
const settings = {
  evmVersion: 'cancun',
  optimizer: { enabled: true, runs: 200 },
  metadata: { bytecodeHash: 'none', appendCBOR: false },
}
const sha256 = (text) => createHash('sha256').update(text).digest('hex')

const sources = {}
for (const name of readdirSync(contracts).sort()) {
  if (name.endsWith('.sol')) {
    sources[name] = { content: readFileSync(join(contracts, name), 'utf8') }
  }
}
const own = Object.keys(sources)
const digests = Object.fromEntries(own.map((name) => [name, sha256(sources[name].content)]))

function imported(path) {
  try {
    const content = readFileSync(join(programs, 'node_modules', path), 'utf8')
    digests[path] = sha256(content)
    return { contents: content }
  } catch {
    return { error: `${path} is not installed` }
  }
}

const outputSelection = { '*': { '*': ['abi', 'evm.bytecode.object', 'evm.deployedBytecode.object'] } }
const input = { language: 'Solidity', sources, settings: { ...settings, outputSelection } }
const compiled = JSON.parse(solc.compile(JSON.stringify(input), { import: imported }))
const problems = compiled.errors ?? []
for (const problem of problems) {
  process.stderr.write(problem.formattedMessage)
}
if (problems.length) {
  process.exit(1) // warnings too: a contract has none
}

mkdirSync(out, { recursive: true })
for (const file of own) {
  for (const [name, { abi, evm }] of Object.entries(compiled.contracts[file] ?? {})) {
    if (!evm.bytecode.object || !abi.length) {
      continue // an interface, an abstract contract, a library that others contain
    }
    const artifact = {
      contract: name,
      compiler: solc.version(),
      settings,
      sources: Object.fromEntries(Object.entries(digests).sort()),
      bytes: evm.deployedBytecode.object.length / 2,
      abi,
      bytecode: '0x' + evm.bytecode.object,
    }
    writeFileSync(join(out, `${name}.json`), JSON.stringify(artifact, null, 1) + '\n')
  }
}
