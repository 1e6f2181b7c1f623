/** Bodies of answers as a search for secrets meets them, each of 1 MiB. */
import { randomBytes } from 'node:crypto'

const size = 1024 ** 2

export function bodies(): Readonly<Record<'json' | 'prose' | 'base64' | 'random', Buffer>> {
  return {
    json: json(),
    prose: prose(),
    base64: Buffer.from(randomBytes(size).toString('base64')).subarray(0, size),
    random: randomBytes(size),
  }
}

function json(): Buffer {
  const rows = Array.from({ length: 9000 }, (_, id) => ({
    id: `cus_${randomBytes(9).toString('base64url')}`,
    name: `Customer ${id}`,
    url: `https://api.example.com/v1/customers/${id}?expand=orders&page=${id % 7}`,
    balance: id * 3.14,
    open: id % 3 === 0,
  }))
  return Buffer.from(JSON.stringify(rows)).subarray(0, size)
}

/** Words of many lengths in lines of 80. */
function prose(): Buffer {
  const words = Array.from({ length: 900 }, () =>
    randomBytes(1 + Math.floor(Math.random() * 5))
      .toString('base64url')
      .toLowerCase(),
  )
  let text = ''
  for (
    let line = '';
    text.length < size;
    line = line.length > 72 ? ((text += `${line}\n`), '') : `${line} ${words[Math.floor(Math.random() * words.length)] ?? ''}`
  );
  return Buffer.from(text).subarray(0, size)
}
