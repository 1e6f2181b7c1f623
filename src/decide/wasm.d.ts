/** What the compiler does not know: the runtime's WebAssembly without the browser's types, and the shape the policy SDK really has. */

declare namespace WebAssembly {
  type ImportValue = Memory | ((...numbers: number[]) => number | void)

  interface Global {
    readonly value: unknown
  }

  class Module {
    constructor(bytes: Uint8Array)
    static imports(module: Module): readonly { readonly module: string; readonly name: string; readonly kind: string }[]
    static exports(module: Module): readonly { readonly name: string; readonly kind: string }[]
  }

  function compile(bytes: Uint8Array): Promise<Module>

  class Instance {
    constructor(module: Module, imports: Readonly<Record<string, Readonly<Record<string, ImportValue>>>>)
    readonly exports: Readonly<Record<string, unknown>>
  }

  class Memory {
    constructor(size: { readonly initial: number; readonly maximum: number })
    readonly buffer: ArrayBuffer
    grow(pages: number): number
  }
}

declare module '@open-policy-agent/opa-wasm' {
  class LoadedPolicy {
    constructor(instance: WebAssembly.Instance, memory: WebAssembly.Memory, minorVersion: number)
    readonly dataAddr: number
    readonly dataHeapPtr: number
    evaluate(input: unknown, entrypoint: number): unknown
    setData(data: ArrayBuffer): void
  }
  const opa: { readonly LoadedPolicy: typeof LoadedPolicy }
  export { opa as default }
}
