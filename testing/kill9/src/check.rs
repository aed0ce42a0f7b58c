//! Comparing a restarted server with the ledger.

use std::collections::HashMap;

use crate::clients::{ACCOUNTS, MONEY, connect};
use crate::ledger::{Fate, Ledger};

/// Check the promises of the crate's header. Transactions whose fate was unknown are settled by what
/// is found; the number of those that were there.
pub async fn check(port: u16, ledger: &mut Ledger) -> Result<u64, String> {
    let client = connect(port)
        .await
        .map_err(|e| format!("connecting after a restart: {e}"))?;
    let query = |sql: &'static str| {
        let client = &client;
        async move {
            client
                .query(sql, &[])
                .await
                .map_err(|e| format!("{sql}: {e:?}"))
        }
    };
    let mut found: HashMap<(i32, i64), (i64, i64)> = query(
        "select client, sequence, count(*), count(distinct part) from entry group by client, sequence",
    )
    .await?
    .iter()
    .map(|row| ((row.get(0), row.get(1)), (row.get(2), row.get(3))))
    .collect();
    let mut settled = 0;
    for (number, own) in ledger.clients.iter_mut().enumerate() {
        for (sequence, (fate, parts)) in own.fates.iter_mut().enumerate() {
            let what = format!("client {number}, transaction {sequence} ({fate:?})");
            match (found.remove(&(number as i32, sequence as i64)), *fate) {
                (Some((rows, distinct)), _) if rows != *parts || distinct != *parts => {
                    return Err(format!(
                        "{what}: {rows} of {parts} rows, {distinct} distinct"
                    ));
                }
                (Some(_), Fate::Refused) => return Err(format!("{what} is there")),
                (None, Fate::Acknowledged) => return Err(format!("{what} is lost")),
                (Some(_), Fate::Unknown) => {
                    settled += 1;
                    *fate = Fate::Acknowledged;
                }
                (None, Fate::Unknown) => *fate = Fate::Refused,
                (Some(_), Fate::Acknowledged) | (None, Fate::Refused) => {}
            }
        }
    }
    if let Some(((number, sequence), _)) = found.into_iter().next() {
        return Err(format!(
            "client {number} never sent transaction {sequence}, and it is there"
        ));
    }
    let money = query("select count(*), sum(money)::bigint from account").await?;
    let (accounts, sum): (i64, i64) = (money[0].get(0), money[0].get(1));
    if (accounts, sum) != (i64::from(ACCOUNTS), i64::from(ACCOUNTS) * MONEY) {
        return Err(format!("{accounts} accounts hold {sum}"));
    }
    // The primary key's index answers as the table does.
    let by_key = query("select count(*) from entry where client = 0 and sequence >= 0").await?;
    let by_scan = query("select count(*) from entry where client + 0 = 0").await?;
    if by_key[0].get::<_, i64>(0) != by_scan[0].get::<_, i64>(0) {
        return Err("the index and the table disagree".to_owned());
    }
    Ok(settled)
}
