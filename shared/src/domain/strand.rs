//! Strands: the parts of an endpoint's work that wait apart from each other.

/// How many ordered strands an endpoint has at most.
pub const ORDERED_STRANDS: u8 = 64;

/// What marks a strand in texts. No id contains it.
const MARK: char = '~';

/// Which part of an endpoint's work a delivery belongs to. Each strand has its own waiting set, its
/// own counts of tries and its own entry in the lane's agenda. Whatever else there is of an endpoint,
/// its window, breaker, limits, state and history, its strands share.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub enum Strand {
    /// What was just published, in no order.
    #[default]
    Live,
    /// What is sent once more in bulk, in no order: served from what the other strands leave over, and
    /// at least once in 16 attempts.
    Replay,
    /// What must arrive one after the other; the number is below [`ORDERED_STRANDS`].
    Ordered(u8),
}

impl Strand {
    /// How texts name it: nothing for [`Strand::Live`], else at most 3 characters, of which the first
    /// occurs in no id.
    pub fn suffix(self) -> String {
        match self {
            Self::Live => String::new(),
            Self::Replay => format!("{MARK}r"),
            Self::Ordered(n) => format!("{MARK}{n:02}"),
        }
    }

    /// Reads [`Strand::suffix`] from the front of a text; answers what follows it, too.
    pub fn split(text: &str) -> Option<(Self, &str)> {
        let Some(marked) = text.strip_prefix(MARK) else { return Some((Self::Live, text)) };
        if let Some(rest) = marked.strip_prefix('r') {
            return Some((Self::Replay, rest));
        }
        let (number, rest) = marked.split_at_checked(2)?;
        let number = number.bytes().all(|byte| byte.is_ascii_digit()).then_some(number)?;
        let known = |n: &u8| *n < ORDERED_STRANDS;
        Some((Self::Ordered(number.parse().ok().filter(known)?), rest))
    }

    /// All in which a message can wait as it was published.
    pub fn of_first_sendings() -> impl Iterator<Item = Self> {
        std::iter::once(Self::Live).chain((0..ORDERED_STRANDS).map(Self::Ordered))
    }

    /// Whether its deliveries must arrive in the order in which they were published.
    pub fn is_ordered(self) -> bool {
        match self {
            Self::Ordered(_) => true,
            Self::Live | Self::Replay => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_round_trip_before_any_text() {
        let all = (0..ORDERED_STRANDS).map(Strand::Ordered);
        for strand in all.chain([Strand::Live, Strand::Replay]) {
            for rest in ["", "0abc", "rest"] {
                let text = format!("{}{rest}", strand.suffix());
                assert_eq!(Strand::split(&text), Some((strand, rest)));
            }
            assert!(strand.suffix().len() <= 3);
        }
    }

    #[test]
    fn what_a_newer_version_wrote_is_refused() {
        for text in ["~", "~x", "~6", "~64", "~-1rest", "~+1rest", "~é"] {
            assert_eq!(Strand::split(text), None, "{text}");
        }
    }
}
