//! Places in a page: what is between two comments is measured, and all around it is written by
//! hand.

const END: &str = "<!-- cargo xtask bench: end -->";

/// What is in the place of this name now.
pub(super) fn find<'a>(page: &'a str, name: &str) -> Result<&'a str, String> {
    split(page, name).map(|(_, content, _)| content)
}

/// The page with `content` in the place of this name, and otherwise as it was.
pub(super) fn fill(page: &str, name: &str, content: &str) -> Result<String, String> {
    let (before, _, after) = split(page, name)?;
    Ok(format!("{before}\n\n{}\n\n{after}", content.trim_end()))
}

/// The text up to and with the first comment, what is between the two, and the rest.
fn split<'a>(page: &'a str, name: &str) -> Result<(&'a str, &'a str, &'a str), String> {
    let begin = begin(name);
    let missing = || format!("no place for {name}: add the two lines `{begin}` and `{END}`");
    let start = page.find(&begin).ok_or_else(missing)? + begin.len();
    let (before, rest) = page.split_at(start);
    let end = rest.find(END).ok_or_else(|| format!("no `{END}` after `{begin}`"))?;
    let (content, after) = rest.split_at(end);
    // Otherwise the text between the two places would be lost.
    if content.contains("<!-- cargo xtask bench:") {
        return Err(format!("another place begins before the `{END}` of {name}"));
    }
    if after.contains(&begin) {
        return Err(format!("two places for {name}"));
    }
    Ok((before, content, after))
}

fn begin(name: &str) -> String {
    format!("<!-- cargo xtask bench: {name} -->")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = "text\n\n<!-- cargo xtask bench: W1 -->\n\nold\n\n\
                        <!-- cargo xtask bench: end -->\n\nmore text\n";

    #[test]
    fn only_the_place_is_replaced() {
        let page = fill(PAGE, "W1", "new\n").unwrap();
        assert_eq!(page, PAGE.replace("old", "new"));
        assert_eq!(find(&page, "W1").unwrap().trim(), "new");
    }

    #[test]
    fn a_page_whose_places_are_not_clear_is_refused_and_told_what_to_add() {
        let why = fill(PAGE, "W2", "").unwrap_err();
        assert!(why.contains("<!-- cargo xtask bench: W2 -->") && why.contains(END), "{why}");
        assert!(fill(&format!("{PAGE}{PAGE}"), "W1", "").unwrap_err().contains("two places"));
        let open = PAGE.replace(END, "");
        assert!(fill(&open, "W1", "").unwrap_err().contains("no `<!--"));
        let nested = format!("{open}{}", PAGE.replace("W1", "W2"));
        assert!(fill(&nested, "W1", "").unwrap_err().contains("another place"));
    }
}
