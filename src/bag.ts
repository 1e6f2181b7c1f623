/**
 * What is under way: members come and go by the thousand, and few are there at a time. For that a `Set` would do, but the engine keeps the
 * tables that one has outgrown, each pointing to the next, until a full collection: once one of them is old, so is all that comes after it,
 * and every call that ever stood in them. An array that is filled from its end leaves nothing behind.
 */
export class Bag<Member> {
  readonly #members: Member[] = []

  get size(): number {
    return this.#members.length
  }

  /** The caller sees to it that a member is added once. */
  add(member: Member): void {
    this.#members.push(member)
  }

  /** Takes a member out, and says whether it was in. The order of the others may change. */
  delete(member: Member): boolean {
    // what came last mostly goes first
    const at = this.#members.lastIndexOf(member)
    if (at === -1) return false
    this.#take(at)
    return true
  }

  /** Takes out what is found, the latest first; undefined when nothing is. */
  takeIf(found: (member: Member) => boolean): Member | undefined {
    const at = this.#members.findLastIndex(found)
    return at === -1 ? undefined : this.#take(at)
  }

  some(found: (member: Member) => boolean): boolean {
    return this.#members.some(found)
  }

  /** A list of its own: members may come and go while it is walked. */
  list(): Member[] {
    return this.#members.slice()
  }

  #take(at: number): Member | undefined {
    const taken = this.#members[at]
    const last = this.#members.pop()
    if (last !== undefined && at < this.#members.length) this.#members[at] = last
    return taken
  }
}
