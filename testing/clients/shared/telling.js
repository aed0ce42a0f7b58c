'use strict'
// Cases of a client's programme in JavaScript: each runs by itself, and its outcome is told on a line.

const CASE_SECONDS_MAX = 60
const cases = []

exports.test = (name, run) => cases.push({ name, run })

const oneLine = (text) => String(text).split(/\s+/).join(' ').slice(0, 400)

function limited(promise) {
  let timer
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`took longer than ${CASE_SECONDS_MAX} s`)), CASE_SECONDS_MAX * 1000)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

exports.run = async (version) => {
  console.log(`version ${version}`)
  const only = process.argv.slice(2)
  for (const { name, run } of cases) {
    if (only.length && !only.includes(name)) continue
    try {
      await limited(run())
      console.log(`passed ${name}`)
    } catch (error) {
      console.error(error)
      console.log(`failed ${name}: ${oneLine(error.message)}`)
    }
  }
  // What a failed case left open does not keep the programme.
  process.exit(0)
}
