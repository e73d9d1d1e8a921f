package watchword

import "time"

// Level is how long a failed sign-in would have to wait that took no time.
func (e *Engine) Level() time.Duration { return e.hashing.level.Wait(0, false) }

// WhyReuse returns the cause of a reuse.
func WhyReuse(r Rotation, p Presentation) string { return string(whyReuse(r, p)) }
