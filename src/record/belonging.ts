/** What a call belongs to besides its task: the prompt that led to it, and the transaction it is part of. */
import type { Call } from '../listen/call.ts'
import type { Task } from '../task/task.ts'
import type { Decision } from '../decide/decide.ts'
import type { ModelCall, Transaction } from '../state/state.ts'
import { onePiece, quote } from './json-text.ts'

/** Members of a line, each with a comma before it; none for a call that belongs to nothing. */
export function belongingText(call: Call, task: Task | null, decision: Decision | null): string {
  if (task === null) return ''
  const declared = call.carried?.prompt ?? task.row.intent.prompt
  const model = decision?.facts.task.model ?? null
  const prompt =
    declared === null && model === null ? '' : `,"prompt":{"declared":${hexText(declared)}${model === null ? none : modelText(model)}}`
  return task.transaction == null ? prompt : `${prompt}${transactionText(task.transaction)}`
}

const none = ',"model_call":null,"request_sha256":null,"answer_sha256":null'

// A model call is followed by many others of its task, a token comes with many calls: what is said of them is made once.
const models = new WeakMap<ModelCall, string>()
const transactions = new WeakMap<Transaction, string>()

function modelText(model: ModelCall): string {
  let known = models.get(model)
  if (known === undefined) {
    const { call, request, answer } = model
    known = onePiece(`,"model_call":${quote(call, 128)},"request_sha256":${hexText(request)},"answer_sha256":${hexText(answer)}`)
    models.set(model, known)
  }
  return known
}

function transactionText(transaction: Transaction): string {
  let known = transactions.get(transaction)
  if (known === undefined) {
    const { verified, id, issuer, subSha256, rctxSha256, tokenSha256 } = transaction
    known = onePiece(
      `,"txn":{"verified":${verified},"id":${id === null ? 'null' : quote(id, 256)},"issuer":${issuer === null ? 'null' : quote(issuer, 512)}` +
        `,"sub_sha256":${hexText(subSha256)},"rctx_sha256":${hexText(rctxSha256)},"token_sha256":${hexText(tokenSha256)}}`,
    )
    transactions.set(transaction, known)
  }
  return known
}

function hexText(digest: string | null): string {
  return digest === null ? 'null' : `"${digest}"`
}
