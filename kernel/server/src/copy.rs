//! COPY between a client and a session, under both query protocols.

use heliosdb_sql::CopyOut;
use heliosdb_sql::error::{SqlError, state};

use crate::backend;
use crate::connection::End;
use crate::frontend::Frontend;
use crate::open::{AfterCopy, Mode, OpenSession, Stop};
use crate::stream::Wire;

/// What the length of a CopyData message leaves for a row.
const ROW_BYTES_MAX: usize = i32::MAX as usize - 4;

impl OpenSession {
    /// Write a whole COPY TO STDOUT, a message a row, as drivers expect, or a dump; its tag.
    pub(crate) fn copy_out(&mut self, wire: &mut Wire, mut copy: CopyOut) -> Result<String, Stop> {
        backend::copy_out(&mut wire.output, copy.format(), copy.columns());
        while let Some(chunk) = copy.next_chunk()? {
            let mut start = 0;
            for end in chunk.row_ends {
                if end - start > ROW_BYTES_MAX {
                    return Err(SqlError::new(
                        state::PROGRAM_LIMIT_EXCEEDED,
                        "a row of COPY is longer than a protocol message may be",
                    )
                    .into());
                }
                backend::copy_data(&mut wire.output, &chunk.data[start..end]);
                start = end;
            }
            wire.flush_if_full()?;
        }
        backend::copy_done(&mut wire.output);
        Ok(copy.tag().0)
    }

    /// A message while COPY FROM STDIN runs.
    pub(crate) fn copy_message(&mut self, wire: &mut Wire, message: Frontend) -> Result<(), End> {
        match message {
            Frontend::CopyData(data) => match self.session.copy_in_data(&data) {
                Ok(()) => Ok(()),
                Err(error) => self.finish_copy(wire, Err(error)),
            },
            Frontend::CopyDone => {
                let outcome = self.session.copy_in_done().map(|tag| tag.0);
                self.finish_copy(wire, outcome)
            }
            Frontend::CopyFail(why) => {
                let error = self.session.copy_in_fail(&why);
                self.finish_copy(wire, Err(error))
            }
            Frontend::Flush | Frontend::Sync => Ok(()),
            _ => {
                self.session
                    .copy_in_fail("unexpected message type during COPY from stdin");
                Err(End::fatal(SqlError::new(
                    state::PROTOCOL_VIOLATION,
                    "unexpected message type during COPY from stdin",
                )))
            }
        }
    }

    fn finish_copy(
        &mut self,
        wire: &mut Wire,
        outcome: Result<String, SqlError>,
    ) -> Result<(), End> {
        match std::mem::replace(&mut self.mode, Mode::Ready) {
            Mode::CopyingIn(AfterCopy::Simple(run)) => self.finish_simple_copy(wire, run, outcome),
            Mode::CopyingIn(AfterCopy::Extended) => match outcome {
                Ok(tag) => {
                    self.send_notices(wire);
                    backend::command_complete(&mut wire.output, tag);
                    wire.flush()?;
                    Ok(())
                }
                Err(error) => self.fail_extended(wire, error),
            },
            Mode::Ready | Mode::Skipping => Err(End::fatal(SqlError::internal(
                "a COPY ended that had not begun",
            ))),
        }
    }
}
