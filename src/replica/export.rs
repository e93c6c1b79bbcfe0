//! Exports in formats that nobody can synchronize: a document for web maps, and what GDAL makes of a GeoPackage.

use std::{sync::Arc, time::Duration};

use crate::{
    app::App,
    error::{Error, Result},
    files::{Finished, Spool},
    gdal::{self, Conversion, Converted, Source},
    model::{
        data_format::DataFormat,
        definition::Facts,
        filter::Filter,
        layer::{Layer, Service},
        replica::NewReplica,
    },
    sqlite::geopackage::table_names,
    store::ReadTx,
    sync::{
        database::Database,
        download::{self, AttachmentBytes},
    },
    wire::{replica::Transport, service as documents},
};

use super::{
    Run,
    answer::Answer,
    create::{Lasting, export_head, filters},
    database::{self, Counts, NewFile},
};

/// The data of an export while it is written.
enum Data<'a> {
    /// A document, which is whole.
    Document(Spool),
    /// A GeoPackage, up to its end, and what is to become of it.
    Package(Database<'a>, Conversion),
}

/// Gives data in a format that is not for replicas. `address` is that of the service.
pub(super) async fn export(
    app: &App,
    service: &Service,
    (new, fields): (&NewReplica, &[Option<Vec<usize>>]),
    address: &str,
    format: DataFormat,
    run: &Run,
) -> Result<Answer> {
    let facts = app.store.facts(service).await?;
    let mut session = app.store.session().await?;
    let mut tx = session.read(service).await?;
    let (_, filters) = filters(&mut tx, service, new.area.as_ref(), &new.layers, Lasting::No).await?;
    let becomes = gdal::converts(format).then_some(format);
    let file = NewFile { service, address, new, fields, id: None, becomes, documents: None, details: None };
    let data = if becomes.is_some() {
        let (database, counts) = database::write_new(app, &mut tx, &file, &filters, run).await?;
        Data::Package(database, conversion(&file, format, &counts))
    } else {
        Data::Document(write_collection(app.files.spool(&run.progress), &mut tx, &file, &filters, &facts).await?)
    };
    tx.end().await?;
    // Others may have the connection while the data is converted.
    drop(session);
    let (finished, remarks) = finish(app, data, run).await?;

    let mut head = export_head(new, Transport::Url);
    head.insert("warnings".to_owned(), remarks.into());
    let answer = Answer::of_file(head, app, finished, format).await?;
    let mut session = app.store.session().await?;
    let mut tx = session.own().await?;
    answer.register(&mut tx, service, None, run).await?;
    tx.commit().await?;
    tracing::info!(service.name = service.name, n_layers = new.layers.len(), format = format.name(), "data exported");
    Ok(answer)
}

/// What is to become of the GeoPackage of an export.
fn conversion(file: &NewFile<'_>, format: DataFormat, counts: &[Counts]) -> Conversion {
    let names = table_names(file.service);
    let layers = file.new.layers.iter().zip(counts).enumerate().map(|(position, ((layer, _), counts))| Source {
        table: database::table_name(file.service, &names, layer),
        layer: Arc::clone(layer),
        columns: file.columns(position, layer),
        n_rows: counts.features,
        n_attachments: counts.attachments,
    });
    Conversion {
        format,
        title: file.service.name.chars().map(|c| if c.is_alphanumeric() { c } else { '_' }).collect(),
        layers: layers.collect(),
        wants_attachments: file.new.return_attachments,
    }
}

/// Completes the data. Returns it, and for people what the format does not hold.
async fn finish(app: &App, data: Data<'_>, run: &Run) -> Result<(Finished, Vec<String>)> {
    match data {
        Data::Document(spool) => {
            let remark = "attachments and relationships are not in the document; dates are milliseconds since 1970";
            Ok((spool.finish().await?, vec![remark.to_owned()]))
        }
        Data::Package(database, conversion) => {
            let package = database.finish(None).await?;
            let converted = gdal::convert(&app.files, &package, conversion, limits(app), &run.progress).await?;
            let Converted { finished, remarks } = converted;
            Ok((finished, remarks))
        }
    }
}

/// Writes `{"layers":[{"layerDefinition":…,"featureSet":{…,"features":[…]}}]}`.
async fn write_collection(
    mut spool: Spool,
    tx: &mut ReadTx<'_>,
    file: &NewFile<'_>,
    filters: &[Filter],
    facts: &[Facts],
) -> Result<Spool> {
    let NewFile { service, new, .. } = file;
    tx.require_srid("replicaSR", new.srid).await?;
    spool.buffer().extend_from_slice(b"{\"layers\":[");
    for (position, ((layer, _), filter)) in new.layers.iter().zip(filters).enumerate() {
        if position > 0 {
            spool.buffer().push(b',');
        }
        let columns = file.columns(position, layer);
        write_definition(service, layer, facts, &mut spool)?;
        let head = documents::feature_set_head(layer, &columns).to_string();
        spool.buffer().extend_from_slice(b",\"featureSet\":");
        spool.buffer().extend_from_slice(head.strip_suffix('}').unwrap_or(&head).as_bytes());
        spool.buffer().extend_from_slice(b",\"features\":[");
        // There are no attachments in it, hence no addresses of them.
        let bytes = AttachmentBytes::Address(file.address);
        download::snapshot(tx, layer, filter, &columns, bytes, &mut spool).await?;
        spool.buffer().extend_from_slice(b"]}}");
    }
    spool.buffer().extend_from_slice(b"]}");
    Ok(spool)
}

fn write_definition(service: &Service, layer: &Arc<Layer>, facts: &[Facts], spool: &mut Spool) -> Result<()> {
    let position = service.layers.iter().position(|known| known.key == layer.key);
    let known = position.and_then(|position| facts.get(position)).cloned().unwrap_or_default();
    let definition = serde_json::to_string(&documents::layer(service, layer, &known));
    let definition = definition.map_err(|error| Error::internal("writing a layer definition", error))?;
    spool.buffer().extend_from_slice(b"{\"layerDefinition\":");
    spool.buffer().extend_from_slice(definition.as_bytes());
    Ok(())
}

/// What converting an export may take.
fn limits(app: &App) -> gdal::Limits {
    gdal::Limits {
        time: Duration::from_secs(app.config.max_conversion_seconds.into()),
        bytes: app.config.max_conversion_bytes,
        memory: app.config.max_conversion_memory_bytes,
    }
}
