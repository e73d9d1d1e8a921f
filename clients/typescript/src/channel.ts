// A BroadcastChannel between the tabs of one origin. Without channels, posting has no effect:
// each tab then works alone.

export interface Channel<Message> {
  /** Starts to listen. It reopens a closed channel, and has no effect on an open one. */
  open(): void
  close(): void
  post(message: Message): void
  readonly postedCount: number
}

/** Without a name, the channel reaches no other tabs. */
export function createChannel<Message>(
  name: string | undefined,
  receive: (message: Message) => void,
): Channel<Message> {
  let channel: BroadcastChannel | undefined
  let posted = 0
  return {
    get postedCount() { return posted },
    open() {
      if (channel || !name || !globalThis.BroadcastChannel) return
      try {
        channel = new BroadcastChannel(name)
        channel.onmessage = ({ data }: MessageEvent<Message>) => receive(data)
        // In Node.js an open channel would keep the process alive.
        ;(channel as { unref?: () => void }).unref?.()
      } catch {
        // Pages with an opaque origin can't open channels.
      }
    },
    close() {
      channel?.close()
      channel = undefined
    },
    post(message) {
      posted++
      try {
        channel?.postMessage(message)
      } catch {
        // The browser closed the channel.
      }
    },
  }
}
