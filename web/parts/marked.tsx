import './marked.css'

const REDACTION = /(\[[A-Z_]+_REDACTED\])/

/** A text with its redactions marked. */
export const Marked = ({ text }: { text: string }) => (
  <p class="marked">
    {text.split(REDACTION).map((piece, index) =>
      // Every second piece is what the expression matched.
      index % 2 === 1 ? <mark key={index}>{piece}</mark> : piece,
    )}
  </p>
)
