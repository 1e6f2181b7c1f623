/** A bundle or a verification key that will not be used; the message says what is wrong with it and is for the operator. */
export class BundleFault extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'BundleFault'
  }
}
