/** Why a document is refused. The message names the rule and never repeats bytes of the document. */
export class JsonFault extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'JsonFault'
  }
}
