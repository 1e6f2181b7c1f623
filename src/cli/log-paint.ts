import { styleText } from 'node:util'

/** Colours a text, or leaves it as it is. */
export type Paint = (style: 'gray' | 'red' | 'green' | 'yellow' | 'cyan' | 'bold', text: string) => string

export class Palette {
  readonly paint: Paint

  constructor(colour: boolean) {
    this.paint = (style, text) => (colour ? styleText(style, text, { validateStream: false }) : text)
  }
}
