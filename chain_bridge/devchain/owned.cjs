// Ends the chain with its owner: the owner holds the other end of standard input, however it ends.
if (require('node:worker_threads').isMainThread) {
  process.stdin.on('close', () => process.exit(0))
  process.stdin.on('error', () => process.exit(0))
  process.stdin.resume()
}
