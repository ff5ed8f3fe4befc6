// Package modelstore is the engine's own store of models. It trusts nothing in the inbox (package inbox) and takes what a
// trusted key vouches for (package envelope):
//
//	candidate, err := store.Take(deliveries[0])           // verified, unpacked, tested, on disk
//	err = store.Activate(candidate)                       // one rename makes it the active one
//	err = store.Hold(candidate)                           // or it is kept beside the active one, until it is decided:
//	err = store.Promote()                                 // it becomes the active one
//	err = store.Reject("it finds less")                   // or is not tried again
//	err = box.Remove(deliveries[0].ID)                    // also when Take gave a *RefusedError
//	active, ok := store.Current()
//	model, err := active.Load()
//	active, err = store.Rollback("golden rows differ")    // the model before it again
//
// Where to look: take.go and install.go (from a delivery to a candidate), activate.go (activation and rollback), candidate.go
// (a candidate beside the active model), store.go (opening and repair), heal.go (second copies), quarantine.go and attempt.go
// (what is not tried again), seed.go (the model that ships with the engine), lastactive.go (a store that cannot be opened).
//
// # Promises
//
// The numbers are those of the model delivery's promises.
//
//   - M1, M2: what a model is and how it is used follow from one signature, checked against the keys in the configuration.
//   - M3: a lower or equal version, another model, or an expired manifest is refused unless AllowDowngrade is set. Expiry
//     is looked at when a model arrives and never again: an active model does not stop because time passed.
//   - M5: what is in an archive is read by package archive, strictly; see unpack.
//   - M6: hashes, parsing, agreement with the manifest and the golden rows (float32 margins, bit for bit) come before the
//     model is in the store at all; then fsync; then one rename makes it active.
//     Before the model is parsed there has to be memory for it, and the attempt is on disk: two that end the process, or
//     five that end with the machine, are enough to refuse it. Power that fails is not the model's fault; a machine that
//     restarts each time may be.
//   - M7: the model before the active one is kept.
//   - M8: what was found bad is in quarantine, by what its manifest says, in whatever envelope it comes, and not tried
//     again until that changes; new times are no change. A version that was rolled back does not come back under any
//     manifest: a corrected model needs a higher one. What this device's keys, clock, configuration or active version
//     stand against is recorded and judged again each time. Failures of the disk are no judgement.
//   - M9: a candidate is held beside the active model. It becomes active by Promote, or as a delivery that is signed to take
//     over at once, and by no accident: not by a restart, not where it is lost which model was active. Its version is above
//     the active one's, and that of the next candidate above its own. A rejected version is barred like one that was rolled
//     back.
//   - M11: SageMaker's model.tar.gz is taken as it is, with a manifest beside it, or without one where AllowUnsigned says so.
//
// # Roles
//
// A store has models of one role (Options.Role); the engine has one store for each. What happens in one does not concern the
// other. No life model ships with the engine, so that the last one can be sent back, too.
//
// # Files
//
// The owner is inference-engine, in models for the role fault and in models-life for the role life:
//
//	format                 {"format":1}
//	current                {"format":1,"current":"<id>","previous":"<id>","candidate":"<id>"}: which model is active, which was
//	                       before it, which is held beside it; the last two may be missing
//	versions/<id>/         a model: its file, installed.json (where it comes from, its manifest), manifest.dsse.json if signed
//	quarantine.json        what was refused, rolled back or rejected
//	attempt.json           which deliveries are being tried, and how often that began without an end
//	staging/               a model that is being tested
//
// Each JSON file has a member format, which stays the same in all versions; a program that finds a higher one than it
// knows refuses the store with ErrFormat and leaves every file as it is. The folder itself is locked (flock) while a store
// is open. <id> is <version>-<envelope's hash>, unsigned-<archive's hash> or shipped-<model's hash>, 12 digits of it,
// and 12 of the manifest's content where a shipped model has one.
// versions has a model that is none of the three only between Take and what follows it; it is gone when the store is opened
// again. installed.json of a candidate says "held":true, so that it is one also where both copies of current are lost. A
// release that knows no candidates ignores both, and removes the candidate's folder: it is lost with that, and delivered
// again only by command.
//
// # Stopped processes
//
// Every file is written under another name or in staging, synced, and put in place by one rename whose folder is synced
// too. So a process may be killed, or the power be lost, between any two steps: what is active is the old or the new
// model, whole. current names all models in one file so that they change with one rename. A
// rollback, or a rejection, writes the quarantine first: the store, when it is opened and finds its active model, or its candidate, there, completes it.
package modelstore
