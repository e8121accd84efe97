//! Statements that stay prepared. diesel's own language prepares updates and texts anew
//! each time; as types with an identity of their own, these stay prepared for as long as
//! their connection lives.

/// Declares a statement: its values in the order of the question marks in its text,
/// and the types of the columns that it answers.
macro_rules! statement {
    (
        $backend:ident on $connection:ident:
        $(#[$doc:meta])*
        $name:ident { $($value:ident: $rust:ty as $sql_type:ty,)* } -> $answer:ty,
        $text:expr
    ) => {
        $(#[$doc])*
        #[derive(Debug)]
        pub(super) struct $name {
            $(pub(super) $value: $rust,)*
        }

        impl diesel::query_builder::QueryFragment<$backend> for $name {
            fn walk_ast<'b>(
                &'b self,
                mut out: diesel::query_builder::AstPass<'_, 'b, $backend>,
            ) -> diesel::result::QueryResult<()> {
                let mut parts = $text.split('?');
                out.push_sql(parts.next().unwrap_or_default());
                $(
                    out.push_bind_param::<$sql_type, _>(&self.$value)?;
                    out.push_sql(parts.next().unwrap_or_default());
                )*
                Ok(())
            }
        }

        impl diesel::query_builder::QueryId for $name {
            type QueryId = Self;
            const HAS_STATIC_QUERY_ID: bool = true;
        }

        impl diesel::query_builder::Query for $name {
            type SqlType = $answer;
        }

        impl diesel::query_dsl::RunQueryDsl<$connection> for $name {}
        impl diesel::query_dsl::RunQueryDsl<$connection> for &$name {}
    };
}

pub(super) use statement;
