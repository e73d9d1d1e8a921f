package watchword

import "time"

// Level is how long a failed sign-in would have to wait that took no time.
func (e *Engine) Level() time.Duration { return e.hashing.level.Wait(0, false) }

// WhyReuse returns the cause of a reuse.
func WhyReuse(r Rotation, p Presentation) string { return string(whyReuse(r, p)) }

// FeedMemory counts the events of the feed that this process holds, and the bytes of
// their tokens.
func (e *Engine) FeedMemory() (items, tokens, bytes int) {
	f := &e.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	count := func(event FeedEvent) {
		if event.Token != "" {
			tokens, bytes = tokens+1, bytes+len(event.Token)+len(event.ID)
		}
	}
	for _, item := range f.items[:cap(f.items)] {
		count(item.event)
	}
	for _, page := range f.pages {
		for _, event := range page.events {
			count(event)
		}
	}
	return len(f.items), tokens, bytes
}

// DefaultsOf returns the options with their defaults filled in.
func DefaultsOf(o Options) Options { return o.withDefaults() }
