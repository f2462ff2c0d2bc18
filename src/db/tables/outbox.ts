import { and, asc, eq } from 'drizzle-orm'
import type { Database } from '../database.ts'
import { alertDeliveries, alerts } from './schema.ts'

export type AlertRow = typeof alerts.$inferSelect
export type DeliveryState = (typeof alertDeliveries.$inferSelect)['state']

/** One delivery: an alert to one channel. */
export interface DeliveryRow {
  alert: AlertRow
  channel: string
  attempts: number
}

export type OutboxTable = ReturnType<typeof outboxTable>

export function outboxTable({ orm }: Database) {
  const isDelivery = (alertId: string, channel: string) =>
    and(eq(alertDeliveries.alert_id, alertId), eq(alertDeliveries.channel, channel))

  return {
    /** Writes an alert and a pending delivery for each channel. */
    insert(alert: Omit<AlertRow, 'acknowledged_at' | 'acknowledged_by'>, channels: readonly string[]): void {
      orm.insert(alerts).values(alert).run()
      for (const channel of channels) {
        orm.insert(alertDeliveries).values({ alert_id: alert.id, channel, state: 'pending' }).run()
      }
    },

    find: (alertId: string): AlertRow | undefined => orm.select().from(alerts).where(eq(alerts.id, alertId)).get(),

    /** Deliveries in a state, oldest alert first; optionally of one alert. */
    findDeliveries: (state: DeliveryState, alertId?: string): DeliveryRow[] =>
      orm
        .select({ alert: alerts, channel: alertDeliveries.channel, attempts: alertDeliveries.attempts })
        .from(alertDeliveries)
        .innerJoin(alerts, eq(alerts.id, alertDeliveries.alert_id))
        .where(
          and(
            eq(alertDeliveries.state, state),
            alertId === undefined ? undefined : eq(alertDeliveries.alert_id, alertId),
          ),
        )
        .orderBy(asc(alerts.source_seq))
        .all(),

    /** Records a failed attempt that will be retried. */
    noteAttempt: (alertId: string, channel: string, attempts: number, error: string): void =>
      void orm.update(alertDeliveries).set({ attempts, error }).where(isDelivery(alertId, channel)).run(),

    end: (
      alertId: string,
      channel: string,
      row: { state: 'delivered' | 'failed'; attempts: number; error: string | null; ended_at: string },
    ): void => void orm.update(alertDeliveries).set(row).where(isDelivery(alertId, channel)).run(),

    /** Resets the attempts of an alert's failed deliveries. */
    reopen: (alertId: string): void =>
      void orm
        .update(alertDeliveries)
        .set({ state: 'pending', attempts: 0, ended_at: null })
        .where(and(eq(alertDeliveries.alert_id, alertId), eq(alertDeliveries.state, 'failed')))
        .run(),

    acknowledge: (alertId: string, at: string, by: string): void =>
      void orm.update(alerts).set({ acknowledged_at: at, acknowledged_by: by }).where(eq(alerts.id, alertId)).run(),
  }
}
