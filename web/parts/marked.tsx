import './marked.css'

const REDACTION = /(\[[A-Z_]+_REDACTED\])/

/** A text with its redactions marked. */
export const Marked = ({ text }: { text: string }) => (
  <p class="marked">
    {text.split(REDACTION).map((piece, index) =>
      // Every second piece is a match of the expression.
      index % 2 === 1 ? <mark key={index}>{piece}</mark> : piece,
    )}
  </p>
)
