//! Replaces IDs by sessions in requests, and sessions by IDs in responses.

use std::time::Duration;

use http::HeaderMap;

use super::{
    kept::{Claim, GorillaRecords, Opened, Presented},
    records::GoRecords,
    save::Saved,
};
use crate::{
    error::{Error, ErrorKind},
    go_cookies,
    store::StoreError,
};

/// The most cookies of one name that are looked up on the server.
const MOST: usize = 4;

impl<R: GoRecords> GorillaRecords<R> {
    /// Replaces the IDs in a request's cookies by their sessions. Returns those that live. If
    /// there are two, the session layer takes neither, and a logout ends both.
    pub(super) async fn enter(&self, headers: &mut HeaderMap) -> Result<Vec<Opened>, StoreError> {
        let Some(claims) = self.claims(headers) else {
            return Ok(Vec::new());
        };
        let mut living = Vec::new();
        if claims.len() <= MOST {
            for claim in &claims {
                living.extend(self.open(claim).await?);
            }
        }
        let carried: Result<Vec<_>, _> = match (&*living, &*claims) {
            ([], [claim]) => self.carry_name(claim).map(|carried| vec![carried]),
            (living, _) => living.iter().map(|opened| self.carry(opened)).collect(),
        };
        let goes = |value: &[u8]| !matches!(self.presented(value), Presented::Other);
        go_cookies::replace(headers, &self.name, goes, &carried?);
        Ok(living)
    }

    /// Returns the IDs in a request's cookies, or `None` if no cookie is Go's.
    fn claims(&self, headers: &HeaderMap) -> Option<Vec<Claim>> {
        let (mut claims, mut is_of_go) = (Vec::<Claim>::new(), false);
        for cookie in go_cookies::presented(headers, &self.name) {
            let claim = match self.presented(cookie) {
                Presented::Other => continue,
                Presented::Refused => None,
                Presented::Id(claim) => Some(claim),
            };
            is_of_go = true;
            let Some(claim) = claim else { continue };
            match claims.iter_mut().find(|known| known.id == claim.id) {
                Some(known) => known.made = known.made.max(claim.made),
                None => claims.push(claim),
            }
        }
        is_of_go.then_some(claims)
    }

    /// Saves the session that the response sets, and replaces it by its ID.
    pub(super) async fn leave(
        &self,
        living: &[Opened],
        headers: &mut HeaderMap,
    ) -> Result<(), Error> {
        let (mut ends, mut lives) = (false, false);
        let mut cookies = Vec::new();
        for header in go_cookies::read_set_cookies(headers) {
            let Some((value, attributes)) = go_cookies::parse_set_cookie(&header, &self.name)
            else {
                cookies.push(header);
                continue;
            };
            // A new cookie may come with the removal of one with other attributes.
            ends |= value.is_empty();
            lives |= !value.is_empty();
            let Ok(carried) = self.format.carried(&self.name, value, self.now()) else {
                cookies.push(header);
                continue;
            };
            let lasts = self.lasts(max_age(attributes));
            let opened = match living {
                [opened] => Some(opened),
                _ => None,
            };
            let changed = match self.save(opened, &carried, lasts).await? {
                Saved::Under(id) => {
                    go_cookies::set_cookie_header(&self.name, &self.cookie(&id)?, attributes)
                }
                Saved::Removed => go_cookies::set_cookie_header(&self.name, "", &over(attributes)),
                Saved::Over => continue,
            };
            cookies.push(changed.ok_or_else(|| Error::new(ErrorKind::InvalidAttributes))?);
        }
        if ends && !lives {
            self.end(living).await?;
        }
        go_cookies::write_set_cookies(headers, cookies);
        Ok(())
    }

    /// Ends the sessions that a request came with. If one is gone already, another request may have
    /// renewed it, and it lives on under an ID that is not known here.
    async fn end(&self, living: &[Opened]) -> Result<(), Error> {
        let mut are_gone = false;
        for opened in living {
            are_gone |= !self.records.remove(opened.id.as_str(), None).await?;
        }
        match are_gone {
            true => Err(Error::new(ErrorKind::Gone)),
            false => Ok(()),
        }
    }
}

/// Returns the attributes with which browsers remove the cookie that has these.
fn over(attributes: &[u8]) -> Vec<u8> {
    let is_time = |attribute: &&[u8]| {
        let times: [&[u8]; 2] = [b" Max-Age=", b" Expires="];
        times.iter().any(|time| attribute.starts_with(time))
    };
    let others = attributes.split(|byte| *byte == b';').skip(1);
    let mut all = b"; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT".to_vec();
    for attribute in others.filter(|attribute| !is_time(attribute)) {
        all.push(b';');
        all.extend_from_slice(attribute);
    }
    all
}

/// Returns the `Max-Age` among a cookie's attributes.
fn max_age(attributes: &[u8]) -> Option<Duration> {
    let attributes = std::str::from_utf8(attributes).ok()?;
    let age = attributes
        .split("; ")
        .find_map(|attribute| attribute.strip_prefix("Max-Age="));
    Some(Duration::from_secs(age?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_removed_with_its_other_attributes() {
        let past = "; Max-Age=0; Expires=Thu, 01 Jan 1970 00:00:00 GMT";
        for (attributes, kept) in [
            (
                "; Max-Age=1200; Expires=x, y; HttpOnly; Path=/a",
                "; HttpOnly; Path=/a",
            ),
            ("; Path=/", "; Path=/"),
            ("", ""),
        ] {
            let over = String::from_utf8(over(attributes.as_bytes())).unwrap();
            assert_eq!(over, format!("{past}{kept}"));
        }
    }

    #[test]
    fn max_age_is_found_among_attributes() {
        for (attributes, age) in [
            ("; Max-Age=1200; Expires=x; Path=/", Some(1_200)),
            ("; Path=/; Max-Age=1", Some(1)),
            ("; Path=/", None),
            ("; Path=/Max-Age=1", None),
            ("", None),
        ] {
            let age = age.map(Duration::from_secs);
            assert_eq!(max_age(attributes.as_bytes()), age, "{attributes}");
        }
    }
}
