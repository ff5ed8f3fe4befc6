// Package spool is a durable first-in first-out queue of messages on disk: what stands between a message that was
// accepted and a cloud that may be away for weeks. One folder holds one queue; a forwarder has one for each stream.
//
//	q, err := spool.Open(dir, spool.Options{})
//	err = q.Append(ctx, spool.Record{ID: "press-1-5f3a-1", Payload: payload}) // nil: it is on disk
//	records, err := q.Peek(100, 128<<10)                                     // the oldest, still in the queue
//	err = q.Ack(records[len(records)-1].Seq)                                 // the sink has them: removed
//
// # Promises
//
// The numbers are those of the cloud forwarder's promises, which this package keeps for it.
//
//   - F1: Append returns nil only after the records and the name of their file have been synced. Appends that wait at the
//     same time share one sync; Options.GroupCommit makes them wait for company.
//   - F2: only Ack removes a record (and Options.WhenFull = DropOldest, Expire, Drop and Shed, which count what they remove).
//   - F3: at least once. What was peeked but not acknowledged comes again, with its ID and Time and with Replayed set.
//   - F4: records come in the order in which they were appended. When an append fails, all that wait behind it fail too.
//   - F5: bounded in bytes (Options.MaxBytes) and age (Expire), and it does not grow while the disk has less free space than
//     Options.MinFree. What goes for that is counted by reason.
//   - F8: every byte of a record is under a checksum. What an interrupted write leaves at the end is cut when the queue is
//     opened. Other bad bytes, also at the end, are stepped over when Peek comes to them, copied to a side file of
//     bounded size and logged, and lost records are counted; the records whose bytes are as they were all come.
//   - F9: Open reads the cursor and the newest segment, whatever the backlog's length. Older ones are checked when read.
//   - F10: a full or read-only disk, or one that fails to sync, makes Append return an error and nothing else: what is in
//     the queue can be read, and Append works again when the disk does.
//
// # Files
//
// All numbers are little-endian; CRC is CRC-32C (Castagnoli). A sequence number counts the records of a queue from 1.
//
//	0000000000000001-9f86d081.seg   a segment: its first sequence number and its salt, in hexadecimal
//	cursor                          what has been acknowledged
//	quarantine                      bad bytes, as they were found; absent until there are some
//
// The folder itself is locked (flock) while a queue is open: a second Open fails with durable.ErrLocked. Files of other names are
// left alone. Look needs no lock: it reads the files beside the program that has them open, and writes none. Segments with another salt are those of another queue, such as a spool that was rescued from a broken device
// and copied here: Open appends their records to this queue, and then removes them.
//
// Segment, header of 32 bytes, then records without space between them until the end of the file:
//
//	 0  8  "EPSPOOL\n"
//	 8  4  format version, 2; 1 is read too, and differs in one byte of a record. This header stays the same in all versions, so that an older program can refuse a newer
//	       file without harming it (durable.ErrNewerFormat); a version whose CRC is wrong is damage, not a version
//	12  4  salt
//	16  8  sequence number of the first record
//	24  4  reserved, 0
//	28  4  CRC of bytes 0-27
//
// Record, header of 40 bytes and body:
//
//	 0  4  F5 53 50 F6: no UTF-8 text contains it, so that the search for the next good record is quick (F8)
//	 4  4  CRC of bytes 8-39, starting from the salt instead of 0
//	 8  4  CRC of bytes 40 to the end; itself under the CRC before it, so that the header's covers the record (F8)
//	12  4  length of the record with its header
//	16  8  sequence number: no gap goes unnoticed (F8), no record comes twice or out of order (F4)
//	24  8  time of the original message, Unix nanoseconds, signed (F3)
//	32  1  reserved, 0; a priority in format 1, which is ignored
//	33  1  reserved, 0
//	34  2  length of the stream's name
//	36  2  length of the id
//	38  2  reserved, 0
//	40     stream, id (F3), payload
//
// The header has a CRC of its own for two reasons. A damaged body then costs this record and no search; and a search is
// fast whatever the bytes are, as no length is believed that is not under a CRC. The salt, random for each queue, keeps
// bytes of a record that another one carries as its payload from being taken for a record of this queue. It stands in the
// file's name as well as in the header, as does the first sequence number: a damaged header costs nothing.
//
// The records of a segment have sequence numbers below the first one of the next segment. What lies behind them at the
// end of a segment is what a failed append left there, and is not read: so a failed write needs no successful repair.
//
// Cursor, two slots at 0 and 4096, written in turn; the valid one with the higher generation counts (F2, F3):
//
//	 0  8  "EPCURSR\n"
//	 8  4  format version, 2; 1 is read too
//	12  4  salt of the queue; 0 when a program before 0.2 wrote it
//	16  8  generation
//	24  8  acknowledged: the highest sequence number that is removed
//	32  8  handed out: no record above this one was ever returned by Peek (it runs up to 1,024 ahead)
//	40  4  CRC of bytes 0-39
//
// A slot is written with each Ack but synced only before segments are deleted, when the queue is closed and when "handed
// out" moves. A kill of the process loses none of it. A loss of power may lose acknowledgements within the newest
// segments, and a lost or damaged cursor all of them: their records are sent again, with Replayed set. None is lost.
//
// Quarantine, header of 16 bytes ("EPQUARN\n", format version 4 bytes, 1, reserved 4 bytes), then pieces of at most 64 KiB:
//
//	 0  4  F5 53 51 F6
//	 4  4  CRC of bytes 8-31
//	 8  8  first sequence number of the segment (its file's name)
//	16  8  offset in that segment
//	24  4  length
//	28  4  CRC of the bytes
//	32     the bytes
//
// # Failures of the disk
//
// After a failed write the segment is cut back to what is synced; when that fails too it is left for a new segment. After
// a failed sync the kernel may have dropped the data and call the next sync a success, so that file is never written
// again: the records, still in memory, go to a new segment, once; when that fails, Append returns the error.
//
// Segments are not preallocated: files of zeros made single appends about a tenth faster, and twice as many bytes written.
package spool
