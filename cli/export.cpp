// The command that writes a model for other programs.

#include <keratin/core/internal/message.h>
#include <keratin/export/c.h>
#include <keratin/export/onnx.h>
#include <keratin/training/saving.h>

#include <keratin/cli/commands.h>
#include <keratin/cli/data.h>

namespace keratin::cli {

int export_model(const ExportArguments& arguments) {
  const LoadedModel model = load_model(arguments.model, {.compile = false});
  DataFile data;
  if (!arguments.samples.empty()) data = load_data(arguments.samples, *model, false);
  if (arguments.out.ends_with(".c"))
    export_c(*model, arguments.out,
             {.name = arguments.name,
              .max_steps = arguments.max_steps,
              .samples = data.x,
              .predictions = data.predictions});
  else if (arguments.out.ends_with(".onnx"))
    export_onnx(*model, arguments.out);
  else
    fail_io("{}: expected a path that ends in .c or .onnx", arguments.out);
  return 0;
}

}  // namespace keratin::cli
