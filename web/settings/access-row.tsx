/** A user or a token in a list, with what ends it. */
import type { ComponentChildren } from 'preact'
import { Action, Row, Tag } from '../parts/parts.tsx'
import { send } from '../session.ts'

export const AccessRow = ({
  name,
  role,
  about,
  since,
  end,
  path,
  onEnded,
}: {
  name: string
  role: 'admin' | 'viewer' | 'agent'
  /** More of it, after the role. (Default: nothing.) */
  about?: ComponentChildren
  /** "added 3 d ago" */
  since: string
  /** The text of the button. */
  end: 'Remove' | 'Revoke'
  /** Of the route that ends it. */
  path: string
  onEnded: () => Promise<void>
}) => (
  <Row
    label={
      <>
        {name} <Tag tone={role === 'admin' ? 'warn' : 'info'}>{role}</Tag> {about}
      </>
    }
  >
    <span class="dim">{since}</span>{' '}
    <Action
      label={end}
      title={`${end} ${name}`}
      kind="ghost"
      confirm={`Really ${end.toLowerCase()}?`}
      act={async () => {
        await send('DELETE', path)
        await onEnded()
      }}
    />
  </Row>
)
